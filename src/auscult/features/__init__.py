"""Features: what the models see of a waveform."""

from auscult.features.base import Features
from auscult.features.log_mel import LogMel

FEATURES: dict[str, type[Features]] = {"log_mel": LogMel}
"""Kinds of features by their name in recipes."""

__all__ = ["FEATURES", "Features", "LogMel"]
