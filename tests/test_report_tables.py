"""The tables of a paper: what they say is what went in, beside what the report printed, on the page and in files."""

import csv
import io
from dataclasses import replace
from hashlib import sha256
from importlib.resources import files
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from auscult.clips import MACHINE_TYPES
from auscult.datasets import load_clips
from auscult.errors import RunError
from auscult.recipe import COLUMNS
from auscult.report import html
from auscult.report.choices import choices_table, held_out_weights
from auscult.report.comparison import comparison_tables
from auscult.report.data import Cell, ReportData, Section, Table
from auscult.report.ensembles import is_challenge
from auscult.report.export import export_tables, file_names
from auscult.report.formats import table_csv, table_latex, table_markdown
from auscult.report.html import laid_out
from auscult.report.members import MemberEffect, correlation_table, members_table
from auscult.report.official import evaluation_sections, official_table
from auscult.report.reference import PrintedOptimum, printed_optima, printed_rows, printed_table, published_scores
from auscult.report.summary import MANY, protocol_tables
from auscult.report.tables import NONE, evaluation_section
from auscult.runs.results import ResultRow
from auscult.scores.ensemble import Choice
from auscult.scores.metrics import mean_figures
from auscult.scores.official import Official
from auscult.scores.table import ScoreRow, ScoreTable

PROTOCOLS = ("uniform", "leave-one-id-out", "paper")
EVIL = '<b>|=1+1"'


def test_official_scores_stand_beside_published_ones() -> None:
    parts = dict.fromkeys(("auc_source", "auc_target", "pauc"), 0.5)
    ours = {
        (name, protocol): Official(2022, score, {"BandSealer": score, "AutoTrash": 0.4}, parts, parts, interval)
        for name, protocol, score, interval in (
            ("level", "none", 0.61, None),
            ("all", "uniform", 0.6, (0.55, 0.65)),
        )
    }
    table = official_table(ours, published_scores(2025), ("all", "uniform"), years=[2025], subset="evaluation")
    rows = {cell[0].text: [one.text for one in cell[1:]] for cell in table.rows}
    assert list(rows)[:2] == ["all", "level"]
    assert table.columns[2:] == ["official", "AUC source", "AUC target", "pAUC", "AutoTrash", "BandSealer"]
    assert rows["all"] == ["uniform", "60.0", "50.0", "50.0", "50.0", "40.0", "60.0"]
    assert [cell.small for cell in table.rows[0]][2] == "55.0\N{EN DASH}65.0"
    assert rows["winner"] == ["published", "61.63", *[NONE] * 5]
    assert rows["baseline, MSE"][1] == "54.43"
    assert rows["baseline, MSE"][5:] == ["50.1", "51.4"]  # harmonic means of the published figures of the type
    assert (table.marked, table.starts) == (0, [2])
    assert [row[2].best for row in table.rows] == [False, True, *[False] * 3], "published ones are no rivals"
    assert "As published or quoted by third parties" in table.note
    old = official_table(
        {("all", "uniform"): Official(2020, 0.6, {"fan": 0.6}, {}, {})},
        [],
        ("all", "none"),
        years=[2020],
        subset="test",
    )
    assert old.columns == ["system", "protocol", "official", "fan"]
    fewer = {("fan alone", "none"): Official(2022, 0.9, {"BandSealer": 0.9}, parts, parts)}
    table = official_table(ours | fewer, [], ("all", "uniform"), years=[2025], subset="evaluation")
    (alone,) = (row for row in table.rows if row[0].text == "fan alone")
    assert (alone[2].text, alone[2].best) == ("90.0\N{DAGGER}", False)
    assert "Of fewer machine types than the others" in table.note


def test_a_result_that_scored_no_evaluation_clip_does_not_end_the_report() -> None:
    rows = rows_of("one", "none", types=("fan",))
    analysis: Any = SimpleNamespace(evaluation_results=rows, headline=("other", "none"), official=[], years=())
    (section,) = evaluation_sections(analysis, ["one", "other"])
    assert section.tables and not section.paragraphs


def rows_of(system: str, protocol: str, *, types: tuple[str, ...] = MACHINE_TYPES, seed: int = 0) -> list[ResultRow]:
    generator = np.random.default_rng([seed, *system.encode(), *protocol.encode()])
    return [
        ResultRow(
            kind,
            id_,
            system,
            protocol,
            dict(zip(("auc", "pauc"), generator.uniform(0.5, 1.0, 2).tolist(), strict=True)),
        )
        for kind in types
        for id_ in ("id_00", "id_02")
    ]


def run_rows(*, types: tuple[str, ...] = MACHINE_TYPES) -> list[ResultRow]:
    rows = [row for name in ("a-1", "a-2", "baseline") for row in rows_of(name, "none", types=types)]
    return rows + [
        row for protocol in PROTOCOLS for name in ("a", "all") for row in rows_of(name, protocol, types=types)
    ]


def mean(rows: list[ResultRow], system: str, protocol: str, kind: str | None = None) -> dict[str, float]:
    """The mean over ids, then over types, in percent."""
    means = [
        mean_figures(
            row.figures for row in rows if (row.system, row.protocol, row.machine_type) == (system, protocol, name)
        )
        for name in ([kind] if kind else dict.fromkeys(row.machine_type for row in rows))
    ]
    return {name: 100 * value for name, value in mean_figures(means).items()}


def parsed(table: Table) -> list[dict[str, str]]:
    return list(csv.DictReader(io.StringIO(table_csv(table))))


# The run's own tables


def test_the_summary_holds_the_protocols_side_by_side() -> None:
    rows = run_rows()
    summary, by_type = protocol_tables(rows, ("all", "leave-one-id-out"))
    assert [name for name, _ in summary.groups] == ["", "single model", *PROTOCOLS]
    lines = {line["system"]: line for line in parsed(summary)}
    assert list(lines) == ["all", "a", "a-1", "a-2", "baseline"], "the final system, ensembles, single models"
    for system in ("all", "a"):
        for protocol in PROTOCOLS:
            expected = mean(rows, system, protocol)
            assert float(lines[system][f"{protocol} AUC (%)"]) == pytest.approx(expected["auc"], abs=1e-9)
            assert float(lines[system][f"{protocol} pAUC (%)"]) == pytest.approx(expected["pauc"], abs=1e-9)
        assert lines[system]["single model AUC (%)"] == ""
    assert float(lines["a-1"]["single model AUC (%)"]) == pytest.approx(mean(rows, "a-1", "none")["auc"], abs=1e-9)
    assert by_type.marked is not None
    assert [cell.text for cell in by_type.rows[by_type.marked][:2]] == ["all", "leave-one-id-out"]


def test_the_summary_by_type_holds_every_mean() -> None:
    rows = run_rows()
    _, table = protocol_tables(rows, ("all", "paper"))
    lines = parsed(table)
    assert len(lines) == 3 + 2 * len(PROTOCOLS)
    for line in lines:
        for kind in MACHINE_TYPES:
            expected = mean(rows, line["system"], line["protocol"], kind)
            assert float(line[f"{kind} AUC (%)"]) == pytest.approx(expected["auc"], abs=1e-9)
            assert float(line[f"{kind} pAUC (%)"]) == pytest.approx(expected["pauc"], abs=1e-9)


def test_the_paper_protocol_is_never_the_best_of_a_column() -> None:
    rows = [
        ResultRow("fan", "id_00", name, "uniform", {"auc": auc, "pauc": auc}) for name, auc in (("a", 0.7), ("b", 0.8))
    ]
    rows += [ResultRow("fan", "id_00", name, "paper", {"auc": 0.99, "pauc": 0.99}) for name in ("a", "b")]
    _, table = protocol_tables(rows, ("b", "uniform"))
    bold = {(row[0].text, row[1].text): row[2].best for row in table.rows}
    assert bold == {("b", "uniform"): True, ("b", "paper"): False, ("a", "uniform"): False, ("a", "paper"): False}
    assert "paper protocol aside" in table.note


def test_intervals_and_spreads_stand_beneath_and_are_exported_in_full() -> None:
    rows = rows_of("all", "uniform", types=("fan",)) + rows_of("a", "uniform", types=("fan",))
    interval = {"auc": (0.81234, 0.9), "pauc": (0.6, 0.71)}
    spread = {"auc": 0.0123, "pauc": 0.02}
    system = ("all", "uniform")
    tables = protocol_tables(
        rows,
        system,
        intervals={system: {"fan": {"mean": interval}, "mean": interval}},
        spreads={system: {"fan": {"mean": spread}, "mean": spread}},
    )
    for table, heading in ((tables[0], "uniform AUC"), (tables[1], "fan AUC")):
        line = parsed(table)[0]
        assert [float(line[f"{heading} {name} (%)"]) for name in ("low", "high", "sd")] == [81.234, 90.0, 1.23]
        assert parsed(table)[1][f"{heading} low (%)"] == ""
        cell = next(cell for cell in table.rows[0] if cell.small)
        assert cell.small.splitlines() == ["81.2\N{EN DASH}90.0", "±1.2"]
        assert "95 % interval" in table.note and "seeds" in table.note
        assert "(81.2\N{EN DASH}90.0, ±1.2)" in table_markdown(table)


def test_many_members_are_folded_away_and_none_is_lost() -> None:
    names = [f"member-{n}" for n in range(80)]
    rows = [row for name in names for row in rows_of(name, "none", types=("fan",))]
    rows += run_rows(types=("fan",))
    tables = protocol_tables(rows, ("all", "uniform"), always=["baseline"])
    assert [table.name for table in tables] == ["summary", "machine_types", "members"]
    assert [row[0].text for row in tables[0].rows] == ["all", "a", "baseline"]
    assert [row[0].text for row in tables[2].rows] == [*names, "a-1", "a-2"]
    assert tables[2].fold == "82 single models"
    assert not any(table.fold for table in tables[:2])
    few = protocol_tables(rows[: 2 * MANY], ("member-0", "none"))
    assert [len(table.rows) for table in few] == [MANY, MANY], "without ensembles, and with few, nothing is folded"


def test_a_mean_over_fewer_types_is_marked() -> None:
    rows = rows_of("all", "uniform") + rows_of("a", "uniform", types=("fan",))
    summary, by_type = protocol_tables(rows, ("all", "uniform"))
    assert summary.rows[1][1].text.endswith("†") and not summary.rows[1][1].best
    assert by_type.rows[1][2].text == NONE and "†" in by_type.note


def test_without_results_there_are_no_tables() -> None:
    assert protocol_tables([], ("all", "uniform")) == []
    assert comparison_tables([], {"table4": {"hvae": "a"}}, dcase=True) == []
    (only, _) = protocol_tables(rows_of("a", "none", types=("fan",)), ("a", "none"))
    assert len(only.rows) == 1 and only.marked is None and not any(cell.best for cell in only.rows[0])


# The report's tables


PRINTED = {
    "table1": "f55a9c8c0e6f5ad0",
    "table3": "364f7afc3c6afbe5",
    "table4": "08c981cbbea89d32",
    "figure1": "b50e657fc3de7078",
}
"""SHA-256 of the tables, which were compared with the print cell by cell."""


@pytest.mark.parametrize("name", PRINTED)
def test_the_reference_is_what_the_report_printed(name: str) -> None:
    text = (files("auscult.report") / "reference" / f"{name}.csv").read_text(encoding="utf-8")
    assert sha256(text.encode()).hexdigest().startswith(PRINTED[name])
    assert len(printed_rows(name)) == {"table1": 30, "table3": 21, "table4": 35, "figure1": 6}[name]


def test_what_the_reference_says_is_read_as_fractions() -> None:
    assert printed_table("table4")["freak"]["mean"] == {"auc": 0.9477, "pauc": 0.8711}
    assert printed_table("table3")["dev"]["ToyCar"] == {"auc": 0.7867, "pauc": 0.7391}
    assert printed_optima()["ToyConveyor"] == PrintedOptimum(0.8146, (0.31, 0.0, 0.69))


def test_a_printed_average_that_is_none_is_named() -> None:
    for name, columns in COLUMNS.items():
        wrong = []
        for column in columns:
            kinds = printed_table(name)[column]
            average = mean_figures(kinds[kind] for kind in MACHINE_TYPES)
            assert average["pauc"] == pytest.approx(kinds["mean"]["pauc"], abs=1e-4)
            wrong += [column] if abs(average["auc"] - kinds["mean"]["auc"]) > 1e-4 else []
        assert wrong == ["baseline"]
        (table,) = comparison_tables(run_rows(), {name: {"baseline": "baseline"}}, dcase=True)
        assert "The printed mean AUC of Baseline, 73.34, is not the mean of its column, 73.51." in table.note


def test_an_optimum_that_was_cut_off_is_what_the_others_leave() -> None:
    optima = printed_optima()
    assert optima["slider"].weights == (0.01, 0.07, None) and optima["slider"].completed == (0.01, 0.07, 0.92)
    assert optima["ToyCar"].completed == (0.12, 0.4, 0.48)
    assert replace(optima["slider"], weights=(None, 0.07, None)).completed is None


def test_ours_stand_beneath_the_reports_with_the_difference() -> None:
    rows = run_rows()
    mapping = {"table4": {"baseline": "baseline", "hvae": "a", "ensemble": "all", "freak": "nowhere"}}
    (table,) = comparison_tables(rows, mapping, dcase=True)
    lines, printed = parsed(table), printed_table("table4")
    assert [line["source"] for line in lines if line["system"] == "HVAE"] == [
        "the report",
        "ours, uniform",
        "ours, leave-one-id-out",
        "ours, paper",
    ]
    assert [line["source"] for line in lines if line["system"] == "Baseline"] == ["the report", "ours"]
    assert [line["source"] for line in lines if line["system"] == "Freak"] == ["the report"]
    for line in lines:
        column = next(name for name, title in COLUMNS["table4"].items() if title == line["system"])
        system, protocol = mapping["table4"].get(column), line["source"].removeprefix("ours, ")
        for kind in (*MACHINE_TYPES, "mean"):
            theirs = 100 * printed[column][kind]["auc"]
            value = float(line[f"{kind} AUC (%)"])
            if line["source"] == "the report":
                assert value == pytest.approx(theirs) and line[f"{kind} AUC difference (%)"] == ""
                continue
            own = mean(rows, str(system), "none" if protocol == "ours" else protocol, None if kind == "mean" else kind)
            assert value == pytest.approx(own["auc"], abs=1e-9)
            assert float(line[f"{kind} AUC difference (%)"]) == pytest.approx(own["auc"] - theirs, abs=1e-9)
    assert "Not in this run: IDCAE, Freak." in table.note
    assert "authors' choices" in table.note and "not comparable" not in table.caption


def test_ours_of_other_clips_are_called_not_comparable() -> None:
    (table,) = comparison_tables(run_rows(), {"table3": {"dev": "a"}}, dcase=False)
    assert "not comparable" in table.caption and "other clips" in table.note and table.name == "table3"


def test_types_that_the_report_does_not_know_are_not_compared() -> None:
    mapping = {"table4": {"hvae": "a"}}
    assert comparison_tables(run_rows(types=("compressor",)), mapping, dcase=False) == []
    (table,) = comparison_tables(run_rows(types=("fan", "compressor")), mapping, dcase=False)
    ours = next(line for line in parsed(table) if line["source"] == "ours, uniform")
    assert ours["ToyCar AUC (%)"] == "" and float(ours["fan AUC (%)"]) > 0
    assert "mean AUC difference (%)" not in ours, "a mean over one type is not the report's mean over six"
    assert "†" in table.note


def test_the_challenge_is_known_by_the_published_numbers_of_its_clips(tmp_path: Path) -> None:
    """A tree of all 10,868 names; those of ToyConveyor are published together, and shared out here."""
    anomalies = {"fan": (407, 359, 348, 361), "pump": (143, 111, 100, 102)}
    anomalies |= {"slider": (356, 267, 178, 89), "valve": (119, 120, 120, 120)}
    counts = {(kind, 2 * n): (100, count) for kind, some in anomalies.items() for n, count in enumerate(some)}
    counts |= {("ToyCar", n): (350, 264 if n == 1 else 265) for n in range(1, 5)}
    counts |= {("ToyConveyor", n): (800, (400, 355, 354)[n - 1]) for n in range(1, 4)}
    (tmp_path / "silent.wav").write_bytes(b"x")
    for (kind, n), numbers in counts.items():
        folder = tmp_path / "data" / "dev_data" / kind / "test"
        folder.mkdir(parents=True, exist_ok=True)
        for label, count in zip(("normal", "anomaly"), numbers, strict=True):
            for place in range(count):
                (folder / f"{label}_id_{n:02d}_{place:08d}.wav").symlink_to(tmp_path / "silent.wav")
    clips = load_clips(tmp_path / "data")
    rows = [ScoreRow(clip.machine_type, clip.machine_id, clip.file, clip.label, 0.0) for clip in clips]
    assert len(rows) == 10868 and is_challenge(ScoreTable(rows))
    assert is_challenge(ScoreTable(row for row in rows if row.machine_type == "slider"))
    assert not is_challenge(ScoreTable(row for row in rows if row.machine_id != "id_06"))
    assert not is_challenge(ScoreTable(rows[1:])) and not is_challenge(ScoreTable([]))
    assert not is_challenge(ScoreTable([*rows, replace(rows[0], machine_type="compressor")]))


# Members and choices


def effect(name: str, family: str, **changes: object) -> MemberEffect:
    whole = MemberEffect(
        name,
        family,
        {"auc": 0.9, "pauc": 0.7},
        {"uniform": 0.5, "paper": 0.12},
        {"auc": -0.01234, "pauc": 0.002},
        {"auc": (0.85, 0.95), "pauc": (0.6, 0.8)},
    )
    return replace(whole, **changes)


def test_members_stand_by_family_with_weights_and_effects() -> None:
    members = [
        effect("h1", "hvae"),
        effect("f1", "freak", weights={"uniform": 0.5}),
        effect("h2", "hvae", without=None),
    ]
    table = members_table("fan", members, ensemble="all")
    lines = parsed(table)
    assert [line["member"] for line in lines] == ["h1", "h2", "f1"] and table.starts == [2]
    assert lines[0] == {
        "member": "h1",
        "family": "hvae",
        "alone AUC (%)": "90.0",
        "alone AUC low (%)": "85.0",
        "alone AUC high (%)": "95.0",
        "alone pAUC (%)": "70.0",
        "alone pAUC low (%)": "60.0",
        "alone pAUC high (%)": "80.0",
        "weight uniform": "0.5",
        "weight paper": "0.12",
        "change without it AUC (%)": "-1.234",
        "change without it pAUC (%)": "0.2",
    }
    assert lines[1]["change without it AUC (%)"] == "" and lines[2]["weight paper"] == ""
    assert "\N{MINUS SIGN}1.23" in table_markdown(table)
    assert members_table("fan", [], ensemble="all").rows == []


def test_correlations_are_exported_in_full() -> None:
    matrix = np.array([[1.0, 0.123456789], [0.123456789, np.nan]])
    table = correlation_table("fan", ["h1", "f1"], matrix)
    lines = parsed(table)
    assert [line["member"] for line in lines] == ["h1", "f1"]
    assert float(lines[0]["f1"]) == matrix[0, 1] and lines[1]["f1"] == ""


def test_choices_say_who_chose_what_on_whose_labels() -> None:
    weights = {"hvae": 0.25, "idcae": 0.0, "freak": 0.75}
    choices = [
        Choice("valve", "all", "uniform", None, weights, None),
        Choice("fan", "all", "leave-one-id-out", "id_00", weights, 0.91234),
        Choice("fan", "all", "leave-one-id-out", "id_02", {"freak": 1.0}, 0.9),
        Choice("fan", "all", "paper", None, weights, 0.95),
    ]
    lines = parsed(choices_table(choices))
    assert [line["machine type"] for line in lines] == ["fan", "fan", "fan", "valve"]
    assert lines[0]["weights"] == "hvae 0.25, freak 0.75" and float(lines[0]["mAUC (%)"]) == 91.234
    assert lines[2]["held out"] == "" and lines[3]["mAUC (%)"] == ""
    names = ("hvae", "idcae", "freak")
    found = held_out_weights(choices, machine_type="fan", ensemble="all", names=names)
    assert found.tolist() == [[0.25, 0, 0.75], [0, 0, 1]]
    assert held_out_weights(choices, machine_type="pump", ensemble="all", names=names).shape == (0, 3)


# Files


def test_tables_become_files_of_stable_names(tmp_path: Path) -> None:
    tables = [*protocol_tables(run_rows(), ("all", "paper")), Table("not exported", ["a"], [[Cell("1")]])]
    folder = tmp_path / "run" / "tables"
    names = [f"{name}.{kind}" for name in ("summary", "machine_types") for kind in ("csv", "md", "tex")]
    assert [path.name for path in export_tables(folder, tables)] == names
    assert sorted(path.name for path in folder.iterdir()) == sorted(names)
    content = (folder / "summary.csv").read_bytes()
    assert not content.startswith(b"\xef\xbb\xbf") and b"\r" not in content and NONE.encode() not in content
    export_tables(folder, tables)
    assert (folder / "summary.csv").read_bytes() == content
    (tmp_path / "file").write_text("")
    with pytest.raises(RunError, match="file"):
        export_tables(tmp_path / "file", tables)


def test_names_from_outside_stay_names(tmp_path: Path) -> None:
    rows = rows_of(EVIL, "uniform", types=(EVIL,)) + rows_of("=cmd", "none", types=(EVIL,))
    tables = protocol_tables(rows, (EVIL, "uniform"))
    tables.append(members_table(EVIL, [effect(EVIL, EVIL)], ensemble=EVIL))
    paths = export_tables(tmp_path / "t", tables)
    assert all(path.parent == tmp_path / "t" for path in paths)
    line = parsed(tables[1])[1]
    assert line["system"] == "'=cmd" and f"{EVIL} AUC (%)" in line
    markdown = table_markdown(tables[1])
    assert "<b>" not in markdown and "&lt;b>\\|=1+1" in markdown
    rules = [text for text in markdown.splitlines() if text.startswith("|")]
    assert len({text.replace("\\|", "").count("|") for text in rules}) == 1, "a name adds no column"
    page = html.render(
        laid_out(ReportData("t", "r", "", "d", "x", EVIL, [], [], {}, sections=[Section(EVIL, tables=tables)]))
    )
    assert "<b>" not in page and "&lt;b&gt;" in page


def test_file_names_differ_whatever_the_disk_takes_for_the_same() -> None:
    found = file_names(["members_fan", "members_Fan", "members_fän", "a/b", "a\\b", "..", ""])
    assert found == ["members_fan", "members_Fan-2", "members_fän", "a_b", "a_b-2", "unnamed", "unnamed-2"]


def test_latex_has_a_row_per_row_and_no_stray_sign() -> None:
    system = (EVIL + r"_100%\n", "uniform")
    rows = [replace(row, system=system[0]) for row in rows_of("x", "uniform", types=("fan",))]
    text = table_latex(protocol_tables(rows + rows_of("a", "uniform"), system)[1])
    lines = text.splitlines()
    assert lines[1] == r"\begin{tabular}{ll" + "r" * 14 + "}" and lines[-1] == r"\end{tabular}"
    bodies = [line for line in lines if line.endswith(r" \\")]
    assert all(line.replace(r"\&", "").count("&") == 15 for line in bodies[1:])
    assert r"\textless{}b\textgreater{}|=1+1\"\_100\%\textbackslash{}n".replace('\\"', '"') in text
    assert r"\cmidrule(lr){3-4}" in text and "$^\\dagger$" in text


def test_a_report_names_the_tables_that_are_worth_a_file() -> None:
    rows = [row for row in run_rows(types=("fan", "valve")) if row.protocol in ("none", "uniform")]
    data = ReportData("t", "r", "", "d", "x", "all", [], rows, {})
    assert [table.name for table in laid_out(data).tables] == ["machine_types", "machines_fan", "machines_valve"]
    fan = laid_out(data).tables[1]
    assert float(parsed(fan)[0]["id_00 AUC (%)"]) == pytest.approx(100 * rows[0].figures["auc"], abs=1e-9)
    section = evaluation_section(rows, ["a-1", "a-2", "baseline", "a", "all"])
    summary = protocol_tables(rows, ("all", "uniform"))
    names = [table.name for table in laid_out(replace(data, summary=summary, sections=[section])).tables]
    assert names[:4] == ["summary", "machine_types", "machines_fan", "machines_valve"]
    assert names[4:] == ["evaluation_machine_types", "evaluation_machines_fan", "evaluation_machines_valve"]
    assert laid_out(replace(data, results=[])).tables == []


def test_the_page_folds_and_stacks_tables_and_shows_the_small_type() -> None:
    table = Table(
        "c",
        ["a", "b"],
        [[Cell("x"), Cell("1.0", small="0.9\N{EN DASH}1.1\n±0.1")]] * 2,
        fold="more",
        starts=[1],
        stacked=True,
    )
    data = ReportData("t", "r", "", "d", "x", "h", [], [], {}, sections=[Section("s", tables=[table])], summary=[table])
    page = html.render(laid_out(data))
    assert page.count("<summary>more</summary>") == 1, "without any AUC the overview has no tables"
    assert "<small>0.9\N{EN DASH}1.1\n±0.1</small>" in page and 'class=" starts"' in page
    assert 'class="scroll stacked"' in page and page.count('data-name="b"') == 2
