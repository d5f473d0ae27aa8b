"""Traces by OpenTelemetry: spans, and their way to a collector. Needs the extra `tracing`."""
