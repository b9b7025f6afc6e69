"""From window scores to alarms: the logic window by window, and over whole series at many thresholds."""

from auscult.detector.alarms.logic import AlarmEvent, AlarmSettings, AlarmState, k_of_n
from auscult.detector.alarms.series import AlarmStatistic, WindowScores

__all__ = ["AlarmEvent", "AlarmSettings", "AlarmState", "AlarmStatistic", "WindowScores", "k_of_n"]
