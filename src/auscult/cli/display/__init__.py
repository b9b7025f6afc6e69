"""What the terminal shows: progress, messages, tables."""

from auscult.cli.display.messages import print_error, print_failures, print_warning
from auscult.cli.display.progress import Display, counting
from auscult.cli.display.tables import figures_table, levels_table, recipes_table, results_tables

__all__ = [
    "Display",
    "counting",
    "figures_table",
    "levels_table",
    "print_error",
    "print_failures",
    "print_warning",
    "recipes_table",
    "results_tables",
]
