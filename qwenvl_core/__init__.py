"""What Qwen-VL is and how to talk to it. Knows no framework."""

__version__ = "0.1.0"

__all__ = ["__version__"]
