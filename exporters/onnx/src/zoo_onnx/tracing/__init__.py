"""From a function over PyTorch tensors to an ONNX graph."""
