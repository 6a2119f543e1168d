"""Base classes that architectures of one kind share."""
