"""The figures of a paper: weights lie where they should, and an SVG of its own shows what the page shows."""

import base64
import io
import re
import xml.etree.ElementTree as ET
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from matplotlib import colormaps

from auscult.errors import ScoreError
from auscult.report import ReportData, Section
from auscult.report.axes import path, svg
from auscult.report.data import Key, Plot, Tick, Word
from auscult.report.evidence import image
from auscult.report.export import export_figures, report_figures, roc_figures
from auscult.report.figures import histogram_plot, history_plot
from auscult.report.html import render
from auscult.report.members import FEW_MEMBERS, correlation_plot
from auscult.report.reference import PrintedOptimum, printed_optima
from auscult.report.standalone import standalone_svg
from auscult.report.ternary import ASPECT, CORNERS, WeightSurface, place, ternary_plot
from auscult.runs.results import ResultRow
from auscult.scores.table import ScoreRow, ScoreTable

SVG = "{http://www.w3.org/2000/svg}"
MINUS = "\N{MINUS SIGN}"
EVIL = '"><script>alert(1)</script><b a="'


def simplex(steps: int) -> np.ndarray:
    """All weights `[W, 3]` in equal steps."""
    whole = [(i, j, steps - i - j) for i in range(steps + 1) for j in range(steps + 1 - i)]
    return np.array(whole) / steps


def surface(steps: int = 100, **changes: object) -> WeightSurface:
    """A cone over the optimum at (0.5, 0.2, 0.3)."""
    weights, best = simplex(steps), np.array([0.5, 0.2, 0.3])
    mauc = 0.95 - 0.3 * np.linalg.norm(weights - best, axis=1)
    return replace(WeightSurface("fan", ("HVAE", "IDCAE", "FREAK"), weights, mauc, best, 0.95), **changes)


def pixels(body: str) -> np.ndarray:
    """The picture `[H, W, 4]` within a drawing."""
    from PIL import Image

    content = base64.b64decode(re.search(r'href="data:image/png;base64,([^"]+)"', body)[1])
    return np.asarray(Image.open(io.BytesIO(content)).convert("RGBA"), dtype=int)


def points(body: str, style: str) -> list[np.ndarray]:
    """Points `[n, 2]` of each path of a style, in percent, y upwards."""
    paths = re.findall(rf'<path class="{style}" d="([^"]+)"', body)
    found = [np.array(re.findall(r"[ML](-?[\d.]+) (-?[\d.]+)", data), dtype=float) for data in paths]
    return [np.stack([values[:, 0], 100 - values[:, 1]], axis=1) for values in found]


def scores(machine_type: str = "fan", id_: str = "id_00") -> ScoreTable:
    generator = np.random.default_rng(0)
    return ScoreTable(
        ScoreRow(machine_type, id_, f"{label}{n}.wav", label, float(generator.normal(label == "anomaly")))
        for label in ("normal", "anomaly")
        for n in range(20)
    )


# The triangle


def test_each_member_alone_is_a_corner_and_equal_weights_are_the_middle() -> None:
    assert place(np.eye(3)).tolist() == CORNERS.tolist()
    np.testing.assert_allclose(place([1 / 3] * 3), CORNERS.mean(axis=0))
    np.testing.assert_allclose(place([0.5, 0.5, 0]), (CORNERS[0] + CORNERS[1]) / 2)


def test_the_triangle_is_equal_sided_on_the_page_and_in_the_file() -> None:
    (rim,) = points(ternary_plot(surface()).body, "rim")
    sides = [np.linalg.norm((rim[n] - rim[n - 1]) * [1, ASPECT]) for n in range(3)]
    np.testing.assert_allclose(sides, 100, rtol=1e-3)
    drawn = ET.fromstring(standalone_svg(ternary_plot(surface())))
    (outline,) = (one for one in drawn.iter(f"{SVG}path") if one.get("class") == "rim")
    corners = np.array(re.findall(r"[ML](-?[\d.]+) (-?[\d.]+)", str(outline.get("d"))), dtype=float)
    np.testing.assert_allclose([np.linalg.norm(corners[n] - corners[n - 1]) for n in range(3)], 320, rtol=1e-3)
    style = render(ReportData("t", "r", "", "d", "x", "h", [], [], {}))
    ratio = float(re.search(r"\.ternary \.canvas \{[^}]*aspect-ratio: ([\d.]+)", style)[1])
    assert 1 / ratio == pytest.approx(ASPECT, rel=1e-3)


def test_the_surface_has_its_values_where_their_weights_lie() -> None:
    drawn = surface()
    body = ternary_plot(drawn).body
    picture = pixels(body)
    height, width = picture.shape[:2]
    assert height / width == pytest.approx(ASPECT, rel=0.01)
    low, high = drawn.mauc.min(), drawn.mauc.max()
    generator = np.random.default_rng(1)
    for weights in generator.dirichlet([2, 2, 2], size=50):
        x, y = place(weights)
        seen = picture[int(height * (1 - y / 100)), int(width * x / 100)]
        value = 0.95 - 0.3 * np.linalg.norm(weights - drawn.best_weights)
        expected = 255 * np.array(colormaps["viridis"]((value - low) / (high - low))[:3])
        assert np.abs(seen[:3] - expected).max() < 12 and seen[3] == 255
    assert picture[0, 0, 3] == picture[0, -1, 3] == 0, "nothing is drawn outside"
    assert (picture[..., 3] > 0).mean() == pytest.approx(0.5, abs=0.01)


def test_the_optimum_is_marked_and_named_as_in_the_report() -> None:
    drawn = surface(best_weights=np.array([0.12, 0.4, 0.48]), best_mauc=0.9593)
    plot = ternary_plot(drawn)
    assert plot.note == "Best mAUC: 95.93, weights [0.12, 0.4, 0.48]" and plot.name == "figure1_fan"
    (best,) = points(plot.body, "best")
    np.testing.assert_allclose(best, place(drawn.best_weights)[None], atol=0.01)
    assert points(plot.body, "held") == points(plot.body, "printed") == []
    assert [key.style for key in plot.keys] == ["best"]
    assert [word.text for word in plot.words[:3]] == ["HVAE", "IDCAE", "FREAK"]


def test_other_optima_lie_where_their_weights_say() -> None:
    held_out = np.array([[0.1, 0.2, 0.7], [0.0, 1.0, 0.0]])
    printed = printed_optima()["slider"]
    plot = ternary_plot(surface(held_out=held_out, printed=printed))
    centres = [ring.mean(axis=0) for ring in points(plot.body, "held")]
    np.testing.assert_allclose(centres, place(held_out), atol=0.02)
    (diamond,) = points(plot.body, "printed")
    np.testing.assert_allclose(diamond.mean(axis=0), place([0.01, 0.07, 0.92]), atol=0.02)
    assert [key.style for key in plot.keys] == ["best", "held", "printed"]
    assert plot.keys[2].text == "the report's best, its cut-off weight inferred"
    assert ternary_plot(surface(printed=printed_optima()["fan"])).keys[1].text == "the report's best"
    unknown = ternary_plot(surface(printed=PrintedOptimum(0.9, (None, None, 0.9))))
    assert points(unknown.body, "printed") == []


def test_ticks_stand_where_their_weight_is() -> None:
    plot = ternary_plot(surface())
    ticks = [word for word in plot.words if word.style == "tick"]
    assert len(ticks) == 12
    for word in ticks:
        weight = float(word.text)
        allowed = [place(np.roll([weight, 0, 1 - weight], turn)) for turn in range(3)]
        assert min(np.abs(spot - [word.x, word.y]).max() for spot in allowed) < 4.5
    for line in points(plot.body, "lattice"):
        x, y = line.T
        first, third = y / 100, x / 100 - y / 200
        weights = np.stack([first, 1 - first - third, third])
        assert np.ptp(weights, axis=1).min() < 1e-3, "along a line one weight stays the same"


def test_order_and_steps_of_the_weights_do_not_matter_but_gaps_do() -> None:
    drawn = surface(steps=20)
    shuffled = np.random.default_rng(0).permutation(len(drawn.mauc))
    again = replace(drawn, weights=drawn.weights[shuffled], mauc=drawn.mauc[shuffled])
    assert ternary_plot(again).body == ternary_plot(drawn).body
    for broken in (
        replace(drawn, weights=drawn.weights[1:], mauc=drawn.mauc[1:]),
        replace(drawn, weights=drawn.weights[:, :2]),
        replace(drawn, weights=np.repeat(drawn.weights[:1], len(drawn.mauc), axis=0)),
        replace(drawn, weights=drawn.weights[:1], mauc=drawn.mauc[:1]),
        replace(drawn, weights=drawn.weights[:0], mauc=drawn.mauc[:0]),
    ):
        with pytest.raises(ScoreError, match=r"fan: .* equal steps"):
            ternary_plot(broken)


def test_a_flat_surface_can_be_drawn_and_a_rough_one_is_small() -> None:
    flat = surface(mauc=np.full(5151, 0.5))
    assert "Best mAUC" in ternary_plot(flat).note
    rough = surface(mauc=np.random.default_rng(0).uniform(0.5, 1, 5151))
    assert len(standalone_svg(ternary_plot(rough))) < 120_000
    assert len(standalone_svg(ternary_plot(surface()))) < 60_000


# The heat map


def test_the_heat_map_has_each_correlation_in_its_square() -> None:
    matrix = np.array([[1.0, 0.5, -0.5], [0.5, 1.0, np.nan], [-0.5, np.nan, 1.0]])
    plot = correlation_plot("fan", ["h1", "h2", "f1"], matrix, families=["hvae", "hvae", "freak"])
    picture = pixels(plot.body)
    side = len(picture) // 3
    squares = picture[side // 2 :: side, side // 2 :: side]
    assert squares[1, 2, 3] == squares[2, 1, 3] == 0 and squares[0, 0, 3] == 255
    red, blue = squares[0, 1], squares[0, 2]
    assert red[0] > red[2] and blue[2] > blue[0], "alike is red, opposite is blue"
    assert (squares == squares.transpose(1, 0, 2)).all()
    assert [word.text for word in plot.words] == [
        "1.00",
        "0.50",
        f"{MINUS}0.50",
        "0.50",
        "1.00",
        f"{MINUS}0.50",
        "1.00",
    ]
    assert [tick.text.split() for tick in plot.y_ticks] == [["h1", "1"], ["h2", "2"], ["f1", "3"]]
    assert plot.y_ticks[0].place > plot.y_ticks[2].place and plot.x_ticks[0].place < plot.x_ticks[2].place
    assert plot.alt.endswith("highest 0.50 (h1 and h2), lowest -0.50 (h1 and f1).")
    (seam,) = points(plot.body, "seam")
    np.testing.assert_allclose(seam[:2, 0], 200 / 3, atol=0.01)
    np.testing.assert_allclose(seam[2:, 1], 100 / 3, atol=0.01)


def test_heat_maps_of_any_size_can_be_drawn() -> None:
    for size in (0, 1, 2, FEW_MEMBERS + 1, 80):
        plot = correlation_plot("fan", [f"m{n}" for n in range(size)], np.eye(size))
        assert plot.rows == size and bool(plot.words) == (0 < size <= FEW_MEMBERS)
        assert ET.fromstring(standalone_svg(plot)) is not None
        assert "Rank correlation" in render(
            ReportData("t", "r", "", "d", "x", "h", [], [], {}, sections=[Section("s", plots=[plot])])
        )


# Figures of their own


def test_marks_and_ticks_of_a_figure_lie_as_on_the_page() -> None:
    body = svg([path("M0 100L50 25", "grid"), path("M100 0h0", "dot s0"), path("M0 0H10V100H0Z", "band")])
    plot = Plot(
        body, "words", "square", x_ticks=[Tick(50, "half")], y_ticks=[Tick(100, "top")], x_label="x", y_label="y"
    )
    drawn = ET.fromstring(standalone_svg(plot))
    line, dot, box = (one for one in drawn.iter(f"{SVG}path") if one.get("class") != "axis")
    start, end = np.array(re.findall(r"[ML](-?[\d.]+) (-?[\d.]+)", str(line.get("d"))), dtype=float)
    np.testing.assert_allclose(end - start, [130, -195], atol=0.02)
    assert str(dot.get("d")).startswith(f"M{start[0] + 260:.2f} {start[1] - 260:.2f} h")
    numbers = np.array(re.findall(r"[\d.]+", str(box.get("d"))), dtype=float)
    np.testing.assert_allclose(
        numbers - [start[0], start[1] - 260, start[0], start[1] - 260, start[0]], [0, 0, 26, 260, 0], atol=0.02
    )
    texts = {one.text: one for one in drawn.iter(f"{SVG}text")}
    assert float(str(texts["half"].get("x"))) == pytest.approx(start[0] + 130, abs=0.1)
    assert float(str(texts["top"].get("y"))) == pytest.approx(start[1] - 260, abs=6)
    assert texts["half"].get("text-anchor") == "middle" and texts["top"].get("text-anchor") == "end"


def test_a_figure_needs_nothing_else_and_knows_no_variables() -> None:
    plots = [
        ternary_plot(surface(printed=printed_optima()["fan"])),
        correlation_plot("fan", ["a", "b"], np.eye(2)),
        histogram_plot(scores(), machine="fan id_00", title="Scores"),
        history_plot("m", [{"loss": 1.0 / (n + 1)} for n in range(9)]),
        *roc_figures({"hvae": scores()}, {"hvae": "s0"}, [], "hvae"),
    ]
    for plot in plots:
        assert plot is not None
        text = standalone_svg(plot)
        ET.fromstring(text)
        assert "var(" not in text and "<script" not in text
        assert set(re.findall(r'https?://[^"]+', text)) == {"http://www.w3.org/2000/svg"}
        width, height = (float(value) for value in re.search(r'viewBox="0 0 (\S+) (\S+)"', text).groups())
        for word in ET.fromstring(text).iter(f"{SVG}text"):
            assert 0 <= float(str(word.get("x"))) <= width and 0 <= float(str(word.get("y"))) <= height


def test_pictures_of_the_page_become_ones_that_every_program_reads() -> None:
    plot = Plot(image(np.eye(4, dtype=np.float32), "viridis", 0, 1), "map", "map")
    text = standalone_svg(plot)
    assert "webp" not in text and pixels(text).shape == (4, 4, 4)


def test_roc_figures_have_a_name_a_legend_and_their_figures(tmp_path: Path) -> None:
    tables = {"all": scores(), "hvae": scores()}
    rows = [
        ResultRow("fan", "id_00", "all", "uniform", {"auc": 0.91234, "pauc": 0.7}),
        ResultRow("fan", "id_00", "all", "paper", {"auc": 1, "pauc": 1}),
    ]
    (plot,) = roc_figures(tables, {"all": "s0", "hvae": "s1"}, rows, "all")
    assert plot.name == "roc_fan_id_00" and plot.note == "all: AUC 91.2, pAUC 70.0"
    assert plot.keys == [Key("curve s0", "all"), Key("curve s1", "hvae")]
    (file,) = export_figures(tmp_path / "figures", [plot, replace(plot, name="")])
    assert file.name == "roc_fan_id_00.svg"
    drawn = ET.fromstring(file.read_text(encoding="utf-8"))
    assert {"all", "hvae", "fan id_00"} <= {one.text for one in drawn.iter(f"{SVG}text")}
    unlabelled = ScoreTable(replace(row, label=None) for row in scores())
    assert roc_figures({"all": unlabelled}, {"all": "s0"}, [], "all") == []


def test_a_report_names_the_figures_that_are_worth_a_file() -> None:
    rows = [ResultRow("fan", "id_00", "all", "uniform", {"auc": 0.9, "pauc": 0.7})]
    sections = [Section("s", plots=[ternary_plot(surface()), replace(ternary_plot(surface()), name="")])]
    data = ReportData("t", "r", "", "d", "x", "all", [], rows, {"all": scores()}, sections=sections)
    found = report_figures(data)
    assert [plot.name for plot in found] == ["overview", "roc_fan_id_00", "figure1_fan"]
    assert all(ET.fromstring(standalone_svg(plot)) is not None for plot in found)
    nothing = replace(data, results=[], tables={}, sections=[])
    assert report_figures(nothing) == []


def test_names_from_outside_cannot_become_markup(tmp_path: Path) -> None:
    names = (EVIL, "a & b", "\x00\x0b")
    plots = [
        ternary_plot(surface(machine_type=EVIL, names=names)),
        correlation_plot(EVIL, names, np.eye(3), families=names),
        *roc_figures({EVIL: scores(EVIL, EVIL)}, {EVIL: "s0"}, [], EVIL),
    ]
    assert len(plots) == 3
    for plot in plots:
        drawn = ET.fromstring(standalone_svg(plot))
        assert not list(drawn.iter(f"{SVG}script")) and EVIL in "".join(drawn.itertext())
    assert [file.name for file in export_figures(tmp_path, plots)] == [
        "figure1_script_alert_1_script_b_a.svg",
        "correlation_script_alert_1_script_b_a.svg",
        "roc_script_alert_1_script_b_a_script_alert_1_script_b_a.svg",
    ]
    page = render(ReportData("t", "r", "", "d", "x", "h", [], [], {}, sections=[Section("s", plots=plots)]))
    assert "<script>alert" not in page and "<b a=" not in page


def test_words_of_a_plot_stand_on_the_page() -> None:
    plot = Plot(
        "<svg></svg>", "alt", "ternary", words=[Word(12.5, -3, "left <i>", "start", "corner")], keys=[Key("best", "k")]
    )
    page = render(ReportData("t", "r", "", "d", "x", "h", [], [], {}, sections=[Section("s", plots=[plot])]))
    assert 'class="word start corner" style="left:12.5%;bottom:-3%">left &lt;i&gt;</span>' in page
    assert '<path class="best" d="M1 5H25"/></svg>k</li>' in page
