"""What people read of a run: the page, and its tables and figures as files of their own."""

from pathlib import Path

from auscult.report.collect import report_data
from auscult.report.export import export_figures, export_tables, report_figures, report_tables
from auscult.report.html import write_report
from auscult.runs.analysis import Analysis
from auscult.runs.folder import REPORT


def write_pages(analysis: Analysis, folder: Path) -> None:
    """Write the page of a run, its tables and its figures."""
    page = report_data(analysis)
    write_report(page, folder / REPORT)
    export_tables(folder / "tables", report_tables(page))
    export_figures(folder / "figures", report_figures(page))
