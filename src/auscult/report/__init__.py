"""One self-contained page about a run: tables, curves, and the most anomalous clips to see and to hear."""

from auscult.report.data import DataRow, Evidence, Plot, ReportData, Section, Table, Tick
from auscult.report.html import write_report

__all__ = [
    "DataRow",
    "Evidence",
    "Plot",
    "ReportData",
    "Section",
    "Table",
    "Tick",
    "write_report",
]
