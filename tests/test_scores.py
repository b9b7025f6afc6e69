"""The score table: order, exact round trip, and what it refuses."""

from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from auscult.errors import ScoreError
from auscult.scores.table import COLUMNS, ScoreRow, ScoreTable

ROWS = [
    ScoreRow("valve", "id_02", "b.wav", "normal", 0.5),
    ScoreRow("fan", "id_00", "b.wav", None, -1.25),
    ScoreRow("fan", "id_00", "a.wav", "anomaly", 3.0),
]


def test_rows_are_sorted_by_type_id_and_file_whatever_the_order_given() -> None:
    table = ScoreTable(ROWS)
    assert [row.key for row in table] == [
        ("fan", "id_00", "a.wav"),
        ("fan", "id_00", "b.wav"),
        ("valve", "id_02", "b.wav"),
    ]
    assert table == ScoreTable(reversed(ROWS))
    assert table.scores.tolist() == [3.0, -1.25, 0.5]


@given(
    st.lists(
        st.tuples(
            st.text(st.characters(exclude_categories=["Cs", "Cc"]), min_size=1),
            st.sampled_from(["normal", "anomaly", None]),
            st.floats(allow_nan=False, allow_infinity=False),
        ),
        max_size=8,
        unique_by=lambda row: row[0],
    )
)
def test_reading_gives_back_every_bit_of_what_was_written(tmp_path_factory, rows) -> None:
    path = tmp_path_factory.mktemp("table") / "scores.csv"
    table = ScoreTable(ScoreRow("fan", "id_00", file, label, score) for file, label, score in rows)
    table.write(path)
    again = ScoreTable.read(path)
    assert again == table
    assert again.scores.tobytes() == table.scores.tobytes()
    assert list(path.parent.iterdir()) == [path], "a temporary file was left behind"


def test_a_clip_with_two_scores_is_refused_by_name() -> None:
    with pytest.raises(ScoreError, match=r"fan id_00 a\.wav has two scores"):
        ScoreTable([*ROWS, ScoreRow("fan", "id_00", "a.wav", "normal", 9.0)])


@pytest.mark.parametrize("score", [float("nan"), float("inf"), float("-inf")])
def test_a_score_that_is_not_finite_is_refused_by_name(score: float) -> None:
    with pytest.raises(ScoreError, match=r"fan id_00 c\.wav .*finite"):
        ScoreTable([*ROWS, ScoreRow("fan", "id_00", "c.wav", None, score)])


def test_a_domain_has_a_column_where_a_clip_has_one(tmp_path: Path) -> None:
    rows = [replace(row, domain="target" if row.file == "a.wav" else None) for row in ROWS]
    ScoreTable(rows).write(tmp_path / "with.csv")
    ScoreTable(ROWS).write(tmp_path / "without.csv")
    assert ScoreTable.read(tmp_path / "with.csv") == ScoreTable(rows)
    assert "domain" not in (tmp_path / "without.csv").read_text()


def test_groups_hold_every_row_once() -> None:
    groups = ScoreTable(ROWS).groups()
    assert list(groups) == ["fan", "valve"]
    assert sorted(row for ids in groups.values() for rows in ids.values() for row in rows) == sorted(ROWS)
    assert {row.machine_id for row in groups["fan"]["id_00"]} == {"id_00"}


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("a,b\n1,2\n", "columns"),
        ("", "columns"),
        ("{header}fan,id_00,a.wav,broken,1.0\n", "line 2: the label is 'broken'"),
        ("{header}fan,id_00,a.wav,normal,1.0\nfan,id_00,b.wav,normal,loud\n", "line 3: the score is 'loud'"),
        ("{header}fan,id_00,a.wav,normal\n", "line 2: the score is None"),
        ("{header}fan,id_00,a.wav,normal,nan\n", "finite"),
        ("{header}fan,id_00,a.wav,normal,1\nfan,id_00,a.wav,normal,1\n", "two scores"),
    ],
)
def test_a_damaged_table_is_named_with_its_line(tmp_path: Path, text: str, message: str) -> None:
    path = tmp_path / "scores.csv"
    path.write_text(text.format(header=",".join(COLUMNS) + "\n"), encoding="utf-8")
    with pytest.raises(ScoreError, match=message):
        ScoreTable.read(path)


def test_a_table_that_cannot_be_read_is_named(tmp_path: Path) -> None:
    with pytest.raises(ScoreError, match=r"missing\.csv"):
        ScoreTable.read(tmp_path / "missing.csv")
    binary = tmp_path / "binary.csv"
    binary.write_bytes(b"\xff\xfe\x00")
    with pytest.raises(ScoreError, match=r"binary\.csv"):
        ScoreTable.read(binary)
