"""Features: what the models see of a waveform."""

from typing import TYPE_CHECKING

from auscult.features.base import Features
from auscult.features.registry import Registry

if TYPE_CHECKING:
    from auscult.features.log_mel import LogMel
    from auscult.features.openl3 import OpenL3

FEATURES = Registry[Features](
    {"log_mel": "auscult.features.log_mel:LogMel", "openl3": "auscult.features.openl3:OpenL3"}
)
"""Kinds of features by their name in recipes."""

__getattr__ = FEATURES.class_named

OUTLINES = Registry[Features]({**FEATURES.data, "openl3": "auscult.features.openl3:OpenL3Outline"})
"""What a plan can know and measure of each kind without its files."""

__all__ = ["FEATURES", "OUTLINES", "Features", "LogMel", "OpenL3"]
