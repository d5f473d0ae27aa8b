"""Fuzzers of whatever comes from outside. `python -m tests.fuzz NAME --seconds 60` runs one."""
