"""Learning: from recordings of normal sound to a calibrated detector and its report."""

from auscult.learn.learning import Learned, calibrate_detector, learn
from auscult.learn.settings import Settings

__all__ = ["Learned", "Settings", "calibrate_detector", "learn"]
