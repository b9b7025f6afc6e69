"""What people read of a run: the page, and its tables and figures as files of their own."""

from pathlib import Path

from auscult.files import write_text
from auscult.report.collect import report_data
from auscult.report.export import export_figures, export_tables
from auscult.report.html import laid_out, render
from auscult.runs.analysis import Analysis
from auscult.runs.folder import REPORT


def write_pages(analysis: Analysis, folder: Path) -> None:
    """Write the page of a run, its tables and its figures."""
    page = laid_out(report_data(analysis))
    write_text(folder / REPORT, render(page))
    export_tables(folder / "tables", page.tables)
    export_figures(folder / "figures", page.figures)
