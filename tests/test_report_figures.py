"""The figures of a paper: weights lie where they should, and a file shows what the page shows."""

import re
import xml.etree.ElementTree as ET
from dataclasses import replace
from importlib.resources import files
from pathlib import Path

import matplotlib
import numpy as np
import pytest
from matplotlib.lines import Line2D

from auscult.errors import ScoreError
from auscult.report import html
from auscult.report.data import ReportData, Section
from auscult.report.drawing import COLOURS, STYLE, Plot, embedded
from auscult.report.export import export_figures
from auscult.report.figures import FINAL, OTHERS, losses, roc_curves, score_histogram
from auscult.report.html import laid_out
from auscult.report.maps import FEW_MEMBERS, member_correlations
from auscult.report.reference import PrintedOptimum, printed_optima
from auscult.report.ternary import CORNERS, WeightSurface, place, weight_triangle
from auscult.runs.results import ResultRow
from auscult.scores.table import ScoreRow, ScoreTable

SVG = "{http://www.w3.org/2000/svg}"
MINUS = "\N{MINUS SIGN}"
EVIL = '"><script>alert(1)</script><b a="'
BEST, HELD, PRINTED = "best on the test labels", "best without one id each", "the report's best"


def simplex(steps: int) -> np.ndarray:
    """All weights `[W, 3]` in equal steps."""
    whole = [(i, j, steps - i - j) for i in range(steps + 1) for j in range(steps + 1 - i)]
    return np.array(whole) / steps


def surface(steps: int = 100, **changes: object) -> WeightSurface:
    """A cone over the optimum at (0.5, 0.2, 0.3)."""
    weights, best = simplex(steps), np.array([0.5, 0.2, 0.3])
    mauc = 0.95 - 0.3 * np.linalg.norm(weights - best, axis=1)
    return replace(WeightSurface("fan", ("HVAE", "IDCAE", "FREAK"), weights, mauc, best, 0.95), **changes)


def points(plot: Plot, label: str) -> np.ndarray:
    """Places `[n, 2]` of the marks of a legend's entry, `[0, 2]` where it has none."""
    found = [one for one in plot.figure.axes[0].lines if one.get_label() == label]
    return np.concatenate([np.zeros((0, 2)), *(np.asarray(one.get_xydata()) for one in found)])


def words(plot: Plot) -> list[str]:
    return [one.get_text() for one in plot.figure.axes[0].texts]


def page_of(*plots: Plot) -> str:
    return html.render(
        laid_out(ReportData("t", "r", "", "d", "x", "h", [], [], {}, sections=[Section("s", plots=plots)]))
    )


def scores(machine_type: str = "fan", id_: str = "id_00") -> ScoreTable:
    generator = np.random.default_rng(0)
    return ScoreTable(
        ScoreRow(machine_type, id_, f"{label}{n}.wav", label, float(generator.normal(label == "anomaly")))
        for label in ("normal", "anomaly")
        for n in range(20)
    )


def roc(machine: tuple[str, str] = ("fan", "id_00"), system: str = "hvae") -> Plot:
    plot = roc_curves({system: scores(*machine)}, {system: FINAL}, machine=machine)
    assert plot is not None
    return plot


# The triangle


def test_each_member_alone_is_a_corner_and_the_triangle_is_equal_sided() -> None:
    assert place(np.eye(3)).tolist() == CORNERS.tolist()
    np.testing.assert_allclose(place([0.5, 0.5, 0]), (CORNERS[0] + CORNERS[1]) / 2)
    axes = weight_triangle(surface()).figure.axes[0]
    drawn = axes.transData.transform(CORNERS)
    sides = [np.linalg.norm(drawn[n] - drawn[n - 1]) for n in range(3)]
    np.testing.assert_allclose(sides, 240, rtol=1e-3)


def test_the_surface_has_its_values_where_their_weights_lie() -> None:
    drawn = surface(steps=20)
    axes = weight_triangle(drawn).figure.axes[0]
    picture = axes.images[0]
    values, to_pixel = np.asarray(picture.get_array()), (axes.transData + picture.get_transform().inverted())
    column, row = np.rint(to_pixel.transform(place(drawn.weights))).astype(int).T
    np.testing.assert_allclose(values[row, column], drawn.reached)
    np.testing.assert_allclose(to_pixel.transform(place(drawn.weights)), np.stack([column, row], 1), atol=1e-6)
    assert picture.get_clim() == (drawn.reached.min(), drawn.reached.max()) and np.isfinite(values).all()
    assert picture.get_clip_path() is not None, "nothing is drawn outside"


def test_the_optima_lie_where_their_weights_say_and_are_named() -> None:
    best = np.array([0.12, 0.4, 0.48])
    plain = weight_triangle(surface(best_weights=best, best=0.9593))
    assert plain.note == "Best mAUC: 95.93, weights [0.12, 0.4, 0.48]" and plain.name == "figure1_fan"
    np.testing.assert_allclose(points(plain, BEST), [place(best)])
    assert len(points(plain, HELD)) == len(points(plain, PRINTED)) == 0
    assert {"HVAE", "IDCAE", "FREAK"} < set(words(plain))
    held_out = np.array([[0.1, 0.2, 0.7], [0.0, 1.0, 0.0]])
    plot = weight_triangle(surface(held_out=held_out, printed=printed_optima()["slider"]))
    np.testing.assert_allclose(points(plot, HELD), place(held_out))
    inferred = points(plot, f"{PRINTED}, its cut-off weight inferred")
    np.testing.assert_allclose(inferred, [place([0.01, 0.07, 0.92])])
    assert len(points(weight_triangle(surface(printed=printed_optima()["fan"])), PRINTED)) == 1
    unknown = weight_triangle(surface(printed=PrintedOptimum(0.9, (None, None, 0.9))))
    assert len(points(unknown, PRINTED)) == 0


def test_ticks_and_lines_stand_where_their_weight_is() -> None:
    axes = weight_triangle(surface()).figure.axes[0]
    ticks = [one for one in axes.texts if one.get_text() in ("0.2", "0.4", "0.6", "0.8")]
    assert len(ticks) == 12
    for tick in ticks:
        weight = float(tick.get_text())
        allowed = [place(np.roll([weight, 0, 1 - weight], turn)) for turn in range(3)]
        assert min(np.abs(spot - tick.get_position()).max() for spot in allowed) < 0.06
    lines = [np.asarray(one.get_xydata()) for one in axes.lines if one.get_linestyle() == "-"]
    assert len(lines) == 12
    for x, y in (line.T for line in lines):
        first = y / CORNERS[0, 1]
        third = x - first / 2
        assert np.ptp([first, 1 - first - third, third], axis=1).min() < 1e-9, "along a line one weight stays the same"


def test_order_and_steps_of_the_weights_do_not_matter_but_gaps_do() -> None:
    drawn = surface(steps=20)
    shuffled = np.random.default_rng(0).permutation(len(drawn.reached))
    again = replace(drawn, weights=drawn.weights[shuffled], reached=drawn.reached[shuffled])
    assert embedded(weight_triangle(again), "f") == embedded(weight_triangle(drawn), "f")
    for broken in (
        replace(drawn, weights=drawn.weights[1:], reached=drawn.reached[1:]),
        replace(drawn, weights=drawn.weights[:, :2]),
        replace(drawn, weights=np.repeat(drawn.weights[:1], len(drawn.reached), axis=0)),
        replace(drawn, weights=drawn.weights[:1], reached=drawn.reached[:1]),
        replace(drawn, weights=drawn.weights[:0], reached=drawn.reached[:0]),
    ):
        with pytest.raises(ScoreError, match=r"fan: .* equal steps"):
            weight_triangle(broken)


def test_a_flat_surface_can_be_drawn_and_a_rough_one_is_small() -> None:
    assert "Best mAUC" in weight_triangle(surface(reached=np.full(5151, 0.5))).note
    rough = surface(reached=np.random.default_rng(0).uniform(0.5, 1, 5151))
    assert len(embedded(weight_triangle(rough), "f")) < 40_000


# The heat map


def test_the_heat_map_has_each_correlation_in_its_square() -> None:
    matrix = np.array([[1.0, 0.5, -0.5], [0.5, 1.0, np.nan], [-0.5, np.nan, 1.0]])
    plot = member_correlations("fan", ["h1", "h2", "f1"], matrix, families=["hvae", "hvae", "freak"])
    axes = plot.figure.axes[0]
    np.testing.assert_array_equal(np.ma.filled(axes.images[0].get_array(), np.nan), matrix)
    red, blue = (axes.images[0].to_rgba(value)[:3] for value in (0.5, -0.5))
    assert red[0] > red[2] and blue[2] > blue[0], "alike is red, opposite is blue"
    assert words(plot) == ["1.00", "0.50", f"{MINUS}0.50", "0.50", "1.00", f"{MINUS}0.50", "1.00"]
    assert [tick.get_text().split() for tick in axes.get_yticklabels()] == [["h1", "1"], ["h2", "2"], ["f1", "3"]]
    assert plot.alt.endswith("highest 0.50 (h1 and h2), lowest -0.50 (h1 and f1).")
    seams = [one for one in axes.lines if isinstance(one, Line2D)]
    assert [one.get_xdata()[0] for one in seams[:1]] == [one.get_ydata()[0] for one in seams[1:]] == [1.5]


def test_heat_maps_of_any_size_can_be_drawn() -> None:
    for size in (0, 1, 2, FEW_MEMBERS + 1, 80):
        plot = member_correlations("fan", [f"m{n}" for n in range(size)], np.eye(size))
        assert bool(words(plot)) == (0 < size <= FEW_MEMBERS)
        assert "Rank correlation" in page_of(plot)


# On the page, and in files


def test_the_colours_of_figures_are_those_of_the_page() -> None:
    sheet = (files("auscult.report") / "style.css").read_text(encoding="utf-8")
    dark = sheet[sheet.index("prefers-color-scheme: dark") :].split("}")[0]
    assert len(COLOURS) > 15 and all(f"--{name}:" in dark for name in COLOURS), "the dark theme has each of them too"
    named = {str(value) for value in STYLE.values() if re.fullmatch("#?[0-9a-f]{6}", str(value))}
    assert len(named) == 3 and {f"#{value.removeprefix('#')}" for value in named} < set(COLOURS.values())


def test_a_figure_on_the_page_follows_its_theme_and_is_brief() -> None:
    text = embedded(roc(), "f7")
    drawn = ET.fromstring(text)
    assert "var(--accent)" in text and "var(--wash)" in text and not re.search("#[0-9a-f]{6}", text)
    assert len(text) < 1800 and not re.search(r"\d\.\d{4}", text)
    assert drawn.get("viewBox") == "0 0 240 232" and drawn.get("aria-label", "").startswith("ROC curves of fan id_00")
    ids = [one.get("id", "") for one in ET.fromstring(embedded(weight_triangle(surface()), "f7")).iter()]
    assert any(ids) and all(one.startswith("f7-") for one in ids if one)


def test_the_same_figure_gives_the_same_bytes_and_leaves_no_trace(tmp_path: Path) -> None:
    plot = roc()
    before, defaults = embedded(plot, "f"), dict(matplotlib.rcParams)
    export_figures(tmp_path / "a", [plot])
    export_figures(tmp_path / "b", [roc()])
    assert embedded(plot, "f") == embedded(roc(), "f") == before and dict(matplotlib.rcParams) == defaults
    content = (tmp_path / "a" / "roc_fan_id_00.svg").read_bytes()
    assert content == (tmp_path / "b" / "roc_fan_id_00.svg").read_bytes() and b"var(" not in content


def test_a_file_has_title_note_and_legend_within_its_borders(tmp_path: Path) -> None:
    tables = {"all": scores(), "hvae": scores()}
    curves = roc_curves(tables, {"all": FINAL, "hvae": OTHERS[0]}, machine=("fan", "id_00"), note="AUC 91.2")
    assert curves is not None
    plots = [
        curves,
        replace(curves, name=""),
        weight_triangle(surface(printed=printed_optima()["fan"])),
        member_correlations("fan", ["a", "b"], np.eye(2)),
        replace(score_histogram(scores(), machine="fan id_00", title="Scores"), name="scores"),
        replace(losses("m", [{"loss": 1.0 / (n + 1)} for n in range(9)]), name="losses"),
    ]
    found = export_figures(tmp_path / "figures", plots)
    assert [path.stem for path in found] == ["roc_fan_id_00", "figure1_fan", "correlation_fan", "scores", "losses"]
    for path in found:
        drawn = ET.fromstring(path.read_text(encoding="utf-8"))
        width, height = (float(value) for value in str(drawn.get("viewBox")).split()[2:])
        for word in drawn.iter(f"{SVG}text"):
            assert 0 <= float(str(word.get("x"))) <= width and 0 <= float(str(word.get("y"))) <= height
    lettering = [one.text for one in ET.fromstring(found[0].read_text(encoding="utf-8")).iter(f"{SVG}text")]
    assert {"all", "hvae", "fan id_00", "AUC 91.2"} <= set(lettering)
    unlabelled = ScoreTable(replace(row, label=None) for row in scores())
    assert roc_curves({"all": unlabelled}, {"all": FINAL}, machine=("fan", "id_00")) is None


def test_a_page_names_the_figures_that_are_worth_a_file() -> None:
    rows = [ResultRow("fan", "id_00", "all", "uniform", {"auc": 0.9, "pauc": 0.7})]
    sections = [Section("s", plots=[weight_triangle(surface())])]
    data = ReportData("t", "r", "", "d", "x", "all", [], rows, {"all": scores()}, sections=sections)
    assert [plot.name for plot in laid_out(data).figures] == ["overview", "roc_fan_id_00", "figure1_fan"]
    assert laid_out(replace(data, results=[], tables={}, sections=[])).figures == []


def test_names_from_outside_cannot_become_markup_or_formulas(tmp_path: Path) -> None:
    names = (EVIL, "a & $b$", "\x00\x0b")
    plots = [
        weight_triangle(surface(machine_type=EVIL, names=names)),
        member_correlations(EVIL, names, np.eye(3), families=names),
        roc((EVIL, EVIL), EVIL),
    ]
    found = export_figures(tmp_path, plots)
    assert [file.name for file in found] == [
        "figure1_script_alert_1_script_b_a.svg",
        "correlation_script_alert_1_script_b_a.svg",
        "roc_script_alert_1_script_b_a_script_alert_1_script_b_a.svg",
    ]
    for text in (*(path.read_text(encoding="utf-8") for path in found), *(embedded(plot, "f") for plot in plots)):
        drawn = ET.fromstring(text)
        assert not list(drawn.iter(f"{SVG}script")) and EVIL in "".join([*drawn.itertext(), *drawn.attrib.values()])
    assert "a &amp; $b$" in embedded(plots[0], "f")
    page = page_of(*plots)
    assert "<script>alert" not in page and "<b a=" not in page
