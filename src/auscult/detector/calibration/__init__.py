"""Thresholds that keep a promised rate of alarms: rates, folds, calibration."""
