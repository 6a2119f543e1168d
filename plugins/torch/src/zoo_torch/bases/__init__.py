"""Base classes shared by architectures of one kind."""
