"""Thresholds that keep a promised rate of alarms: rates, folds, calibration."""

from auscult.detector.calibration.fit import calibrate
from auscult.detector.calibration.folds import Fold, Span, contiguous_folds
from auscult.detector.calibration.rates import format_rate, parse_rate
from auscult.detector.calibration.result import Calibration, Method

__all__ = [
    "Calibration",
    "Fold",
    "Method",
    "Span",
    "calibrate",
    "contiguous_folds",
    "format_rate",
    "parse_rate",
]
