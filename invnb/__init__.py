"""invnb: executable reproductions of four texts on invariance in neural networks."""

__version__ = "0.1.0"
