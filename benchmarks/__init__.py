"""Scripts that measure; each says in its first lines how it is run."""

import os

# Before any of them imports onnxruntime, which would report its use to its makers.
os.environ.setdefault("ORT_DISABLE_TELEMETRY", "1")
