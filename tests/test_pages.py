"""Generated pages hold what their commands give for the committed figures, and the counts they print are true."""

import json
from pathlib import Path
from typing import Any

import pytest

PROJECT = Path(__file__).resolve().parents[1]


@pytest.fixture(autouse=True)
def _project_on_path(monkeypatch: pytest.MonkeyPatch) -> None:
    if not (PROJECT / "benchmarks").is_dir():
        pytest.skip("the benchmarks are not part of this copy")
    monkeypatch.syspath_prepend(str(PROJECT))


def test_tables_of_figures_are_those_of_the_results() -> None:
    from benchmarks.page import BLOCKS, PAGES, filled

    found = ""
    for page in PAGES:
        text = page.read_text(encoding="utf-8")
        assert filled(text) == text, f"{page} is out of date; run `make docs`"
        found += text
    assert all(f"<!-- begin {name} -->" in found for name in BLOCKS)


def test_a_figure_that_was_not_measured_is_named_with_its_command(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from benchmarks import page, page_tables

    monkeypatch.setattr(page_tables, "RESULTS", tmp_path)
    for name in page.BLOCKS.keys() - {"settings"}:
        text = page.BLOCKS[name]()
        assert text.startswith("Not measured yet: `")
        assert "|" not in text


def test_a_part_that_was_not_measured_is_named_and_misses_no_target(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As after `full_size --set dcase2025` without earlier results, and `denoiser` without the real sounds."""
    from benchmarks import full_size, page_denoising, page_neighbours, page_tables

    monkeypatch.setattr(page_tables, "RESULTS", tmp_path)
    (tmp_path / "full_size.json").write_text('{"dcase2025": {}, "pieces": []}')
    (tmp_path / "denoiser.json").write_text('{"synthetic": []}')
    assert page_neighbours.full_size().startswith("Not measured yet: `")
    assert page_denoising.denoiser().startswith("Not measured yet: `")
    assert full_size.missed_targets({}) == []


def test_parameter_counts_are_those_of_the_networks() -> None:
    from benchmarks import parameters

    assert parameters.PAGE.read_text(encoding="utf-8") == parameters.page(), "run `make docs`"


def test_each_network_has_as_many_parameters_as_the_report_describes() -> None:
    from benchmarks.parameters import SECTIONS

    rows: list[Any] = [row for _, _, make in SECTIONS for row in make()]
    assert rows
    assert [(row.line, row.built) for row in rows] == [(row.line, row.counted) for row in rows]


def test_the_baseline_has_as_many_values_as_in_keras() -> None:
    """269,992 with the moving means and variances of nine batch norms."""
    from benchmarks.parameters import baseline_row

    assert baseline_row().built + 2 * (8 * 128 + 8) == 269_992


@pytest.mark.usefixtures("shared_data")
@pytest.mark.parametrize("row", ["spectral", "neighbours", "best"])
def test_published_figures_of_real_toy_cars_are_those_of_the_code(row: str) -> None:
    """Of what learns in a second; so that a change of a recipe or a family is measured before it is published."""
    from benchmarks.places import RESULTS
    from benchmarks.real import BEST, MEMBERS, TARGETS, run_member, run_recipe, summary

    if row == BEST:
        tables = run_recipe(BEST, 0)
    else:
        (member,) = [member for member in MEMBERS if row in member.rows]
        tables = run_member(member, 0, "fp32")[0][row]
    found = summary([tables[0]] * 2)
    published = json.loads((RESULTS / "real.json").read_text())[row]
    assert {name: found[name] for name in ("auc", "pauc")} == pytest.approx(
        {name: published[name] for name in ("auc", "pauc")}, abs=1e-3
    )
    auc, pauc = TARGETS.get(row, (0.0, 0.0))
    assert found["auc"] >= auc and found["pauc"] >= pauc
