"""One self-contained page about a run: tables, curves, and the most anomalous clips to see and to hear."""

from auscult.report.data import DataRow, Evidence, ReportData, Section, Table
from auscult.report.html import laid_out

__all__ = [
    "DataRow",
    "Evidence",
    "ReportData",
    "Section",
    "Table",
    "laid_out",
]
