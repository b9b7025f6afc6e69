"""The report: what it says is what the scores say, it needs nothing but itself, and no name from outside breaks it."""

import base64
import io
import re
from dataclasses import replace
from html.parser import HTMLParser
from pathlib import Path

import numpy as np
import pytest
import soundfile

from auscult.errors import RunError
from auscult.files import write_text
from auscult.report import html
from auscult.report.data import Cell, DataRow, Evidence, ReportData, Section, Table
from auscult.report.drawing import Plot, limits
from auscult.report.evidence import MAX_SECONDS, cards, flac, map_limits
from auscult.report.figures import FINAL, losses, roc_curves, score_histogram, thin
from auscult.report.html import laid_out, verdict
from auscult.report.maps import MAX_FRAMES, frequency_ticks
from auscult.report.tables import NONE, evaluation_section, machine_table, percent, ranking_table, summary_table
from auscult.runs.results import ResultRow
from auscult.scores.metrics import auc, evaluate
from auscult.scores.official import official
from auscult.scores.table import ScoreRow, ScoreTable

VOID = {"meta", "img", "br", "link", "input"}


def scores(system: int, *, labelled: bool = True, types: tuple[str, ...] = ("fan", "valve")) -> ScoreTable:
    generator = np.random.default_rng(system)
    return ScoreTable(
        ScoreRow(machine_type, id_, f"{label}_{id_}_{n:08d}.wav", label if labelled else None, score)
        for machine_type in types
        for id_ in ("id_00", "id_02")
        for label, shift in (("normal", 0.0), ("anomaly", 1.0))
        for n, score in enumerate(generator.normal(shift, size=30).tolist())
    )


def results(tables: dict[str, ScoreTable]) -> list[ResultRow]:
    return [
        ResultRow(machine_type, id_, system, "none", figures)
        for system, table in tables.items()
        for machine_type, ids in evaluate(table, incomplete="skip").items()
        if machine_type != "mean"
        for id_, figures in ids.items()
        if id_ != "mean"
    ]


def clip(**changes: object) -> Evidence:
    """A fan's clip of 40 frames of 0.05 s and 8 bins whose error stands out at frame 20 in bin 6."""
    error = np.full((40, 8), 0.1, np.float32)
    error[20, 6], error[:4] = 9.0, np.nan
    evidence = Evidence(
        system="hvae",
        machine_type="fan",
        machine_id="id_00",
        file="anomaly_id_00_00000000.wav",
        label="anomaly",
        score=3.5,
        rank=1,
        spectrogram=np.linspace(-80, 0, 320, dtype=np.float32).reshape(40, 8),
        maps={"Squared error": error},
        frame_scores=np.nanmean(error[4:], axis=1),
        frame_offset=4,
        seconds_per_frame=0.05,
        bin_frequencies=np.array([125.0, 250, 500, 1000, 2000, 4000, 6000, 8000]),
        waveform=np.sin(np.arange(32000) / 20).astype(np.float32) / 16,
        sample_rate=16000,
    )
    return replace(evidence, **changes)


def report(**changes: object) -> ReportData:
    tables = {"spectral": scores(0), "hvae": scores(1)}
    data = ReportData(
        title="Two machine types",
        recipe_name="quick",
        recipe_text='name = "quick"\n',
        data_name="factory",
        date="1 May 2020",
        headline="hvae",
        data_summary=[DataRow(kind, id_, 100, 30, 30) for kind in ("fan", "valve") for id_ in ("id_00", "id_02")],
        results=results(tables),
        tables=tables,
        evidence=[clip()],
        histories={"fan hvae": [{"loss": 10.0 / (epoch + 1), "kl": 1.0} for epoch in range(20)]},
        protocols={"none": "Nothing was chosen."},
        provenance={"torch": "2.13.0", "seed": "0"},
        notes=["valve id_04 has no anomaly."],
    )
    return replace(data, **changes)


class Page(HTMLParser):
    """Checks that tags are balanced, and collects elements with their attributes, and all text."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.open: list[str] = []
        self.elements: list[tuple[str, dict[str, str | None]]] = []
        self.words: list[str] = []
        self.feed(text)
        self.close()
        assert self.open == []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.elements.append((tag, dict(attrs)))
        if tag not in VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.elements.append((tag, dict(attrs)))

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        if self.open and self.open[-1] not in ("style", "script"):
            self.words.append(data)

    @property
    def text(self) -> str:
        return " ".join(" ".join(self.words).split())

    def every(self, tag: str, **attributes: str) -> list[dict[str, str | None]]:
        return [has for name, has in self.elements if name == tag and attributes.items() <= has.items()]


def render(data: ReportData) -> str:
    return html.render(laid_out(data))


def line(plot: Plot, label: str) -> np.ndarray:
    """The points `[n, 2]` of a line."""
    (found,) = (one for axes in plot.figure.axes for one in axes.lines if one.get_label() == label)
    return np.asarray(found.get_xydata())


def decode(uri: str, kind: str) -> bytes:
    assert uri.startswith(f"data:{kind};base64,")
    return base64.b64decode(uri.split(",", 1)[1])


# The page


def test_the_page_needs_nothing_but_itself() -> None:
    text = render(report())
    page = Page(text)
    assert "http://" not in text and "https://" not in text
    assert "default-src 'none'" in str(page.every("meta")[3]["content"])
    loaded = [has[name] or "" for _, has in page.elements for name in ("src", "srcset", "poster") if name in has]
    assert loaded and all(uri.startswith("data:") for uri in loaded)
    assert not page.every("link")
    assert not re.search(r"@import|url\((?!#)", text)
    assert all(str(has["href"]).startswith("data:") for has in page.every("image"))


def test_every_link_leads_somewhere_and_every_id_is_its_own() -> None:
    page = Page(render(report(sections=[Section("More", ["Words."])])))
    ids = [has["id"] for _, has in page.elements if "id" in has]
    assert len(ids) == len(set(ids))
    links = [str(has["href"]) for has in page.every("a")]
    assert {link.removeprefix("#") for link in links} <= set(ids)
    assert {"#type-1", "#type-2", "#section-1"} <= set(links)


def test_figures_and_tables_can_be_read_without_eyes() -> None:
    page = Page(render(report()))
    drawings = page.every("svg", role="img")
    assert len(drawings) > 10
    assert all(len(str(has["aria-label"])) > 20 for has in drawings)
    assert all(has.get("alt") is not None for has in page.every("img"))
    assert all(has.get("scope") for has in page.every("th"))
    assert len(page.every("caption")) == len(page.every("table")) == 6
    assert page.every("audio")[0]["aria-label"] == "Sound of anomaly_id_00_00000000.wav"


def test_names_from_outside_cannot_become_markup() -> None:
    evil = '"><script>alert(1)</script><b a="'
    table = ScoreTable(ScoreRow(evil, evil, f"{n}{evil}", ("normal", "anomaly")[n % 2], float(n)) for n in range(8))
    tables = {evil: table}
    data = report(
        headline=evil,
        tables=tables,
        results=results(tables),
        data_summary=[DataRow(evil, evil, 1, 4, 4)],
        evidence=[
            clip(file=evil, machine_type=evil, maps={evil: np.ones((40, 8), np.float32)}, map_groups={evil: evil})
        ],
        histories={evil: [{"loss": 1.0}]},
        title=evil,
        recipe_text=evil,
        notes=[evil],
        provenance={evil: evil},
        protocols={evil: evil},
        sections=[Section(evil, [evil], [Table(evil, [evil], [[Cell(evil)]])])],
    )
    page = Page(render(data))
    assert len(page.every("script")) == 1
    assert not [has for _, has in page.elements if "a" in has]
    assert evil in page.text


def test_the_file_appears_whole_or_not_at_all(tmp_path: Path) -> None:
    path = tmp_path / "report.html"
    write_text(path, render(report()))
    assert path.read_text(encoding="utf-8").rstrip().endswith("</html>")
    assert list(tmp_path.iterdir()) == [path]
    with pytest.raises(RunError, match=r"missing.*report\.html"):
        write_text(tmp_path / "missing" / "report.html", render(report()))


def test_the_parts_follow_the_order_of_the_challenge() -> None:
    tables = {"hvae": scores(0, types=("valve", "compressor", "ToyCar"))}
    assert [kind.name for kind in laid_out(report(tables=tables, results=[], evidence=[])).types] == [
        "ToyCar",
        "valve",
        "compressor",
    ]


def test_without_labels_clips_are_ranked_and_nothing_is_claimed() -> None:
    tables = {"hvae": scores(1, labelled=False)}
    data = report(tables=tables, results=[], evidence=[clip(label=None)])
    page = Page(render(data))
    assert "Without labels there is no AUC; hvae ranks 240 test clips" in verdict(data)
    kinds = laid_out(data).types
    assert [curves for kind in kinds for curves in kind.curves.values()] == [None] * 4
    assert all(list(kind.histograms["hvae"]) == ["id_00", "id_02"] for kind in kinds)
    assert "ROC curves of" not in render(data)
    assert "unknown" in page.text and "fill:var(--anomaly)" not in render(data)
    highest = max(row.score for row in tables["hvae"] if row.machine_type == "fan")
    assert ranking_table(data, "fan").rows[0][-1].text == f"{highest:.4g}"


def test_an_id_of_one_class_has_no_curve_but_a_histogram() -> None:
    rows = [row for row in scores(1) if (row.machine_type, row.machine_id, row.label) != ("fan", "id_02", "anomaly")]
    tables = {"hvae": ScoreTable(rows)}
    fan = laid_out(report(tables=tables, results=results(tables))).types[0]
    assert {id_: curves is None for id_, curves in fan.curves.items()} == {"id_00": False, "id_02": True}
    assert "id_02" in fan.histograms["hvae"]
    assert fan.mean is not None and percent(fan.mean["auc"]) == percent(
        evaluate(tables["hvae"], incomplete="skip")["fan"]["mean"]["auc"]
    )


def test_figures_of_few_clips_come_with_a_warning() -> None:
    data = report(data_summary=[DataRow("fan", "id_00", 9, 4, 30), DataRow("valve", "id_00", 9, 200, 30)])
    text = Page(render(data)).text
    assert (
        "1 machine has fewer than 20 normal test clips, the fewest 4: there a single clip can move an AUC by 25 points"
        in text
    )
    assert "Over 264 test clips of 2 machines of 2 types" in text
    assert "rough hint" not in Page(render(report())).text


def test_an_empty_run_still_has_a_page() -> None:
    data = report(
        tables={"hvae": ScoreTable([])}, results=[], evidence=[], histories={}, data_summary=[], provenance={}
    )
    assert "How to read this page" in Page(render(data)).text


# Tables


def test_tables_say_what_the_metrics_say() -> None:
    data = report()
    summary = summary_table(data.results, "hvae")
    assert [name for name, _ in summary.groups] == ["", "fan", "valve", "mean"]
    for row, table in zip(summary.rows, data.tables.values(), strict=True):
        figures = evaluate(table)
        expected = [percent(figures[kind]["mean"][metric]) for kind in ("fan", "valve") for metric in ("auc", "pauc")]
        expected += [percent(figures["mean"][metric]) for metric in ("auc", "pauc")]
        assert [cell.text for cell in row[2:]] == expected
    fan = machine_table(data.results, "hvae", "fan", clips=data.data_summary)
    figures = evaluate(data.tables["hvae"])["fan"]
    expected = [percent(figures[id_][metric]) for id_ in ("id_00", "id_02", "mean") for metric in ("auc", "pauc")]
    assert [cell.text for cell in fan.rows[1][2:]] == expected
    assert [cell.text for cell in fan.foot[0][1:]] == ["30 + 30", "30 + 30", "60 + 60"]


def test_the_best_of_each_column_is_bold_and_ties_share_it() -> None:
    rows = [
        ResultRow("fan", "id_00", system, "none", {"auc": auc, "pauc": 0.6})
        for system, auc in (("a", 0.7), ("b", 0.8), ("c", 0.8))
    ]
    table = summary_table(rows, "b")
    assert [[cell.best for cell in row[2:4]] for row in table.rows] == [[False, True], [True, True], [True, True]]
    assert table.marked == 1
    assert not any(cell.best for cell in summary_table(rows[:1], "a").rows[0])


def test_a_mean_over_fewer_types_is_marked_and_never_the_best() -> None:
    rows = [ResultRow(kind, "id_00", "a", "none", {"auc": 0.7, "pauc": 0.6}) for kind in ("fan", "valve")]
    rows.append(ResultRow("fan", "id_00", "b", "none", {"auc": 0.9, "pauc": 0.9}))
    table = summary_table(rows, "a")
    assert [cell.text for cell in table.rows[1]] == ["b", "none", "90.0", "90.0", NONE, NONE, "90.0†", "90.0†"]
    assert not table.rows[1][-1].best and "†" in table.note


def test_further_results_become_a_part_of_their_own() -> None:
    data = report()
    section = evaluation_section(data.results, ["spectral", "hvae"])
    assert [len(table.rows) for table in section.tables] == [2, 2, 2]
    page = Page(render(report(sections=[section])))
    assert "The evaluation machines" in page.text
    assert len(page.every("table")) == 6 + 3


# Figures


def test_the_roc_curve_drawn_has_the_area_of_the_auc() -> None:
    table = scores(1).groups()["fan"]["id_00"]
    plot = roc_curves({"hvae": table}, {"hvae": FINAL}, machine=("fan", "id_00"))
    assert plot is not None
    x, y = line(plot, "hvae").T / 100
    labels = [row.label == "anomaly" for row in table]
    assert np.trapezoid(y, x) == pytest.approx(auc(labels, table.scores), abs=1e-9)


def test_histogram_bars_hold_every_clip_and_gather_a_far_tail() -> None:
    table = scores(1).groups()["fan"]["id_00"]
    drawn = [*table.rows[:-1], replace(table.rows[-1], score=1000.0)]
    plot = score_histogram(ScoreTable(drawn), machine="fan id_00", title="")
    assert plot.note == "last bar: 1 up to 1000"
    assert "30 normal" in plot.alt and "30 anomalous" in plot.alt
    bars = plot.figure.axes[0].patches
    assert [int(bar.get_data().values.sum()) for bar in bars] == [30, 30]
    assert plot.figure.axes[0].get_xlim()[1] < 10
    few = score_histogram(ScoreTable(drawn[::10]), machine="fan id_00", title="")
    assert few.note == "", "with few clips, each counts"
    same = ScoreTable(replace(row, score=2.0) for row in table)
    assert "median 2" in score_histogram(same, machine="fan id_00", title="").alt


def test_domains_stand_beside_each_other_in_the_same_bars() -> None:
    table = ScoreTable(
        replace(row, domain="target" if int(row.file[-12:-4]) % 3 else "source", score=row.score + place % 3)
        for place, row in enumerate(scores(1, types=("fan",)))
    )
    rows = results({"hvae": table})
    data = report(tables={"hvae": table}, results=rows, official=official(table, years=[2023]))
    page = laid_out(data)
    (histograms,) = page.types[0].histograms.values()
    for id_, (source, target) in histograms.items():
        assert (source.title, target.title) == (f"{id_} source", f"{id_} target")
        assert source.figure.axes[0].get_xlim() == target.figure.axes[0].get_xlim()
        counts = [int(bar.get_data().values.sum()) for plot in (source, target) for bar in plot.figure.axes[0].patches]
        assert counts == [10, 10, 20, 20]
    means = {name: np.mean([row.figures[name] for row in rows]) for name in ("auc_source", "auc_target")}
    worse, better = sorted(means, key=lambda name: means[name])
    text = Page(html.render(page)).text.replace(chr(160), " ")
    words = f"a normal clip scores above an anomaly in {percent(1 - means[worse])} % of pairs, in the other in"
    assert f"{worse[4:]} domain" in text and f"{words} {percent(1 - means[better])} %." in text
    assert data.official is not None
    assert f"(official score {percent(data.official.score)} %)" in text
    assert "The harmonic mean of AUC source, AUC target and pAUC".lower() in text.lower()


def test_losses_are_drawn_over_the_epochs() -> None:
    history = [{"loss": 100.0 * 0.8**epoch, "seconds": 1.0} for epoch in range(30)]
    plot = losses("fan hvae", history)
    assert plot is not None and plot.note == f"loss {history[-1]['loss']:.4g}"
    drawn = line(plot, "loss")
    slopes = np.diff(drawn[:, 1]) / np.diff(drawn[:, 0])
    np.testing.assert_allclose(slopes, slopes.mean(), rtol=1e-6)  # an exponential is straight on a logarithmic scale
    assert losses("x", [{"kl": 1.0}]) is None and losses("x", []) is None
    assert losses("x", [{"loss": 1.0}]) is not None
    assert losses("x", [{"loss": 1.0}, {"loss": float("nan")}]) is not None


def test_scales_hold_what_they_show_and_lines_stay_short() -> None:
    for constant in (0.0, 5.0, -3.0):
        low, high = limits([constant, constant, np.nan])
        assert low < constant < high
    x, y = thin(np.arange(10_000.0), np.arange(10_000.0))
    assert len(x) < 300 and (x[0], x[-1]) == (0, 9999) and (x == y).all()


def test_octaves_stand_at_the_centres_of_their_bins() -> None:
    ticks = frequency_ticks(np.array([500.0, 1000, 2000, 4000]), count=10)
    assert ticks == {3: "4 k", 2: "2 k", 1: "1 k", 0: "500"}


# Evidence


def pictures(plot: Plot) -> list[np.ma.MaskedArray]:
    """The values `[F, N]` of spectrogram and maps; colour scales are left out."""
    return [one.get_array() for one in plot.figure.axes[0].images if one.get_array().shape != (1, 12)]


def test_a_map_shows_the_error_where_it_is() -> None:
    (card,) = cards([clip()])
    plot = card.views[0][1]
    _, error = pictures(plot)
    assert error.shape == (8, 40) and error.mask[:, :4].all() and not error.mask[:, 4:].any()
    assert np.unravel_index(error.argmax(), error.shape) == (6, 20), "time to the right, frequency upwards"
    assert all(one.origin == "lower" for one in plot.figure.axes[0].images if one.get_array().shape == (8, 40))
    assert "largest at 1.00 s, 6000 Hz" in plot.alt


def test_maps_and_frame_scores_share_the_time_axis() -> None:
    (card,) = cards([clip()])
    ((_, plot),) = card.views
    assert plot.times == pytest.approx((-0.025, 1.975))
    assert "highest at 1.00 s" in plot.alt
    above, below = plot.figure.axes
    assert above.get_xlim() == below.get_xlim() == plot.times
    drawn = below.collections[0].get_paths()[0].vertices
    assert drawn[drawn[:, 1].argmax(), 0] == pytest.approx(1.0), "the peak stands over the centre of its column"
    boxes = {(round(axes.get_position().x0, 4), round(axes.get_position().width, 4)) for axes in (above, below)}
    assert boxes == {(0.1278, 0.85)}, "as in the style sheet"
    assert "left: 12.78%; width: 85%" in render(report())
    assert len(plot.boxes) == 3


def test_maps_of_a_group_share_a_colour_scale_and_others_do_not() -> None:
    weak, strong = np.full((40, 8), 1.0, np.float32), np.full((40, 8), 4.0, np.float32)
    signed = np.linspace(-2, 1, 320, dtype=np.float32).reshape(40, 8)
    maps = {"matching": weak, "other": strong, "alone": weak, "signed": signed}
    limits = map_limits([clip(maps=maps, map_groups={"matching": "errors", "other": "errors"})])
    assert limits["hvae", "fan", "errors"] == (0.0, 4.0)
    assert limits["hvae", "fan", "map alone"] == (0.0, 1.0)
    low, high = limits["hvae", "fan", "map signed"]
    assert low == -high and high == pytest.approx(2, abs=0.05)
    shared = map_limits(
        [clip(maps={"e": weak}, map_groups={"e": "a"}), clip(maps={"e": strong}, map_groups={"e": "a"})]
    )
    assert shared == {("hvae", "fan", "a"): (0.0, 4.0)}


def test_a_map_without_any_value_or_any_error_can_be_drawn() -> None:
    for value in (np.nan, 0.0):
        (card,) = cards([clip(maps={"empty": np.full((40, 8), value, np.float32)})])
        assert len(card.views[0][1].boxes) == 3


def test_a_clip_that_several_systems_scored_gets_one_card() -> None:
    other = clip(system="freak", rank=4, spectrogram=np.zeros((40, 8), np.float32))
    shown = cards([clip(), clip(system="idcae", rank=2), other, clip(file="b.wav", rank=2)])
    assert [[seen.system for seen, _ in card.views] for card in shown] == [["hvae", "idcae", "freak"], ["hvae"]]
    assert [len(plot.boxes) for _, plot in shown[0].views] == [3, 2, 3], "an equal spectrogram is not repeated"
    page = Page(render(report(evidence=[clip(), other])))
    assert len(page.every("audio")) == 1
    assert "freak rank 4, score 3.5" in page.text


def test_clips_of_embeddings_and_without_sound_can_be_shown() -> None:
    bare = clip(bin_frequencies=None, waveform=None, sample_rate=None, frame_scores=np.zeros(0, np.float32))
    (card,) = cards([bare])
    assert card.audio == "" and len(card.views[0][1].boxes) == 2
    assert "bin 6" in card.views[0][1].alt
    assert not Page(render(report(evidence=[bare]))).every("audio")


def test_long_clips_are_averaged_to_the_width_of_a_page() -> None:
    frames = 5 * MAX_FRAMES + 3
    ramp = np.repeat(np.linspace(0, 1, frames, dtype=np.float32)[:, None], 4, axis=1)
    (card,) = cards([clip(spectrogram=ramp, maps={"e": ramp}, frame_scores=ramp[:, 0], bin_frequencies=None)])
    for values in pictures(card.views[0][1]):
        assert MAX_FRAMES / 2 < values.shape[1] <= MAX_FRAMES
        assert (np.diff(values[0]) > 0).all() and values[0, -1] > 0.99


def test_the_player_holds_the_recording_itself_louder_by_whole_bits() -> None:
    recorded = (np.random.default_rng(0).integers(-1000, 1000, 16000) / 32768).astype(np.float32)
    uri, note = flac(recorded, 16000)
    heard, rate = soundfile.read(io.BytesIO(decode(uri, "audio/flac")), dtype="float32")
    assert rate == 16000
    np.testing.assert_array_equal(heard, 32 * recorded)
    assert note == "played 30 dB louder than recorded"


@pytest.mark.parametrize(("level", "gain"), [(1.0, 0), (0.6, 0), (0.3, 1), (0.1, 3), (0.0, 5)])
def test_the_player_never_clips(level: float, gain: int) -> None:
    tone = (level * np.sin(np.arange(4000) / 5)).astype(np.float32)
    heard, _ = soundfile.read(io.BytesIO(decode(flac(tone, 8000)[0], "audio/flac")), dtype="float32")
    np.testing.assert_allclose(heard, np.clip(2**gain * tone, -1, 1), atol=2**gain / 32768)


def test_the_player_cuts_long_recordings_and_says_so() -> None:
    uri, note = flac(np.zeros(200 * 100, np.float32), 100)
    heard, _ = soundfile.read(io.BytesIO(decode(uri, "audio/flac")))
    assert len(heard) == MAX_SECONDS * 100
    assert "the first 60 s of 200 s" in note
