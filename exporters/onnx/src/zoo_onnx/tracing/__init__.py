"""Traces functions over PyTorch tensors to ONNX graphs."""
