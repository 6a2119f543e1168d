"""Keras architectures on the torch backend. Importing this package imports no Keras: specs only."""
