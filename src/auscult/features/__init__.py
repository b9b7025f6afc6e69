"""Features: what the models see of a waveform."""

from auscult.features.base import Features
from auscult.features.log_mel import LogMel
from auscult.features.openl3 import OpenL3

FEATURES: dict[str, type[Features]] = {"log_mel": LogMel, "openl3": OpenL3}
"""Kinds of features by their name in recipes."""

__all__ = ["FEATURES", "Features", "LogMel", "OpenL3"]
