"""Train an adapter, measure base and adapter on what the model is for, and let CI stop a worse one."""

__version__ = "0.1.0"

__all__ = ["__version__"]
