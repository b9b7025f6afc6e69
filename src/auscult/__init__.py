"""auscult hears whether a machine is failing: unsupervised anomalous sound detection."""

__version__ = "0.1.0"
