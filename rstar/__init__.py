"""rstar: small language models that teach themselves to reason."""

__version__ = "0.1.0"
