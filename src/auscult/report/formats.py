"""A table as text for others: CSV for spreadsheets and programs, Markdown and LaTeX for papers."""

import csv
import io
import re
from collections.abc import Iterable

import numpy as np

from auscult.report.data import Cell, Table
from auscult.report.tables import NONE

_FORMULA = ("=", "+", "-", "@", "\t", "\r")
"""What a spreadsheet takes for the start of a formula."""


def table_csv(table: Table) -> str:
    """A table's values in full: one line of headings, then a line per row; nothing where a value is missing.

    A heading is the name of the column's group, of the column, and its unit. Further numbers of a column's cells, such
    as the ends of an interval, have columns of their own beside it. Rows at the foot are left out.
    """
    details = [_detail_names(table, place) for place in range(len(table.columns))]
    headings: list[str] = []
    for group, column, names in zip(_groups(table), table.columns, details, strict=True):
        words = f"{group} {column}".strip()
        unit = f" ({table.units[column]})" if column in table.units else ""
        headings += [f"{words}{unit}", *(f"{words} {name}{unit}" for name in names)]
    file = io.StringIO()
    writer = csv.writer(file, lineterminator="\n")
    writer.writerow([_plain(heading) for heading in headings])
    for row in table.rows:
        values: list[str] = []
        for cell, names in zip(row, details, strict=True):
            values += [_value(cell), *(repr(cell.details[name]) if name in cell.details else "" for name in names)]
        writer.writerow(values)
    return file.getvalue()


def table_markdown(table: Table) -> str:
    """A table as Markdown: caption, rows as they are shown with the small type in brackets, and the note."""
    groups = _groups(table)
    headings = [f"{group} {column}".strip() for group, column in zip(groups, table.columns, strict=True)]
    rule = [":--" if place < table.texts else "--:" for place in range(len(headings))]
    lines = [_line(_in_markdown(heading) for heading in headings), _line(rule)]
    for row in (*table.rows, *table.foot):
        cells: list[str] = []
        for cell in row:
            text = _in_markdown(cell.text)
            text = f"**{text}**" if cell.best else text
            cells += [_with_small(text, cell), *[""] * (cell.span - 1)]
        lines.append(_line(cells))
    parts = [_in_markdown(table.caption), "\n".join(lines), _in_markdown(table.note)]
    return "\n\n".join(part for part in parts if part) + "\n"


def table_latex(table: Table) -> str:
    """A table as LaTeX for the package booktabs: rows as they are shown, without the small type."""
    columns = "l" * table.texts + "r" * (len(table.columns) - table.texts)
    lines = [f"% {' '.join(table.caption.split())}", rf"\begin{{tabular}}{{{columns}}}", r"\toprule"]
    if table.groups:
        heads = [rf"\multicolumn{{{span}}}{{c}}{{{_in_latex(name)}}}" for name, span in table.groups]
        lines.append(" & ".join(heads) + r" \\")
        ends = np.cumsum([span for _, span in table.groups]).tolist()
        rules = zip(table.groups, ends, strict=True)
        lines.append(" ".join(rf"\cmidrule(lr){{{end - span + 1}-{end}}}" for (name, span), end in rules if name))
    lines += [" & ".join(_in_latex(name) for name in table.columns) + r" \\", r"\midrule"]
    for place, row in enumerate(table.rows):
        lines += [r"\addlinespace"] if place in table.starts else []
        texts = [(_in_latex(cell.text), cell.best) for cell in row]
        lines.append(" & ".join(rf"\textbf{{{text}}}" if best else text for text, best in texts) + r" \\")
    return "\n".join([*lines, r"\bottomrule", r"\end{tabular}"]) + "\n"


def _groups(table: Table) -> list[str]:
    """The group's name above each column."""
    names = [name for name, span in table.groups for _ in range(span)]
    return names or [""] * len(table.columns)


def _detail_names(table: Table, column: int) -> list[str]:
    return list(dict.fromkeys(name for row in table.rows for name in row[column].details))


def _value(cell: Cell) -> str:
    if isinstance(cell.value, float | int):
        return repr(cell.value)
    text = cell.text if cell.value is None else cell.value
    return "" if text == NONE else _plain(text)


def _plain(text: str) -> str:
    """Text that a spreadsheet takes for text: one that looks like a formula gets an apostrophe in front."""
    return f"'{text}" if text.startswith(_FORMULA) else text


def _with_small(text: str, cell: Cell) -> str:
    return f"{text} ({', '.join(_in_markdown(line) for line in cell.small.splitlines())})" if cell.small else text


def _line(cells: Iterable[str]) -> str:
    return f"| {' | '.join(cells)} |"


def _in_markdown(text: str) -> str:
    """Text without power over the table or the page."""
    escaped = re.sub(r"([\\`*_\[\]|])", r"\\\1", " ".join(text.split()))
    return escaped.replace("&", "&amp;").replace("<", "&lt;")


def _in_latex(text: str) -> str:
    """Text without power over the document."""
    signs = {"\N{MINUS SIGN}": "$-$", "\N{EN DASH}": "--", "†": r"$^\dagger$", "\\": r"\textbackslash{}"}
    signs |= {"~": r"\textasciitilde{}", "^": r"\textasciicircum{}", "<": r"\textless{}", ">": r"\textgreater{}"}
    signs |= {sign: f"\\{sign}" for sign in "&%$#_{}"}
    return "".join(signs.get(sign, sign) for sign in " ".join(text.split()))
