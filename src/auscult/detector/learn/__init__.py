"""Learning: from recordings of normal sound to a calibrated detector and its report."""

from auscult.detector.learn.learning import Learned, calibrate_detector, learn
from auscult.detector.learn.settings import LearnSettings

__all__ = ["LearnSettings", "Learned", "calibrate_detector", "learn"]
