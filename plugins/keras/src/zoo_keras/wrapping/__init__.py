"""`wrap` for Keras, and the models that it recognizes by their parts."""
