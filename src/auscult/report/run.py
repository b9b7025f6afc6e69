"""What people read of a run: the page, and its tables and figures as files of their own."""

from pathlib import Path

from auscult.report.collect import report_data
from auscult.report.export import export_figures, export_tables
from auscult.report.html import laid_out, render, write_page
from auscult.runs.analysis import Analysis
from auscult.runs.folder import REPORT


def write_pages(analysis: Analysis, folder: Path) -> None:
    """Write the page of a run, its tables and its figures."""
    page = laid_out(report_data(analysis))
    write_page(render(page), folder / REPORT)
    export_tables(folder / "tables", page.tables)
    export_figures(folder / "figures", page.figures)
