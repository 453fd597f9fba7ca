"""The one version of all packages in this distribution."""

__version__ = "0.1.0"
