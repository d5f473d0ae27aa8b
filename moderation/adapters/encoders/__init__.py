"""Encoders: a bundle on disk becomes two ONNX sessions that share one space."""
