"""The command line: one file a command; the only place that prints."""

import os

# Before numpy is loaded: its products are spread over workers of our own where they are
# large, and are too small to share out where a request waits for them.
os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")
