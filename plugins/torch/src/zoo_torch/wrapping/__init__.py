"""`wrap` for PyTorch, and the models of other libraries that it recognizes."""
