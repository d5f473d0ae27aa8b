"""Measures what the service costs and gains; each module runs by `python -m benchmarks.NAME`."""
