"""What a report is made from: results, score tables, evidence, and the tables and plots of its page."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from auscult.clips import Label
from auscult.report.drawing import Plot
from auscult.runs.results import ResultRow
from auscult.scores.official import Official
from auscult.scores.table import ScoreTable


@dataclass(frozen=True, slots=True)
class DataRow:
    """Numbers of clips of one machine: normal ones to train on, and test clips by label."""

    machine_type: str
    machine_id: str
    train: int
    normal: int
    anomaly: int
    unlabelled: int = 0


@dataclass(frozen=True, slots=True, eq=False)
class Beside:
    """The normal clip of the training that is most like an abnormal one, to compare.

    Attributes:
        file: its name.
        spectrogram: as that of the evidence `[N, F]`.
        waveform: `[T]`, at its rate; none where the file is not there.
    """

    file: str
    spectrogram: NDArray[np.float32]
    waveform: NDArray[np.float32] | None


@dataclass(frozen=True, slots=True, eq=False)
class Evidence:
    """Why a system gave a clip its score.

    Attributes:
        system: the system that scored.
        machine_type: of the clip.
        machine_id: of the clip.
        file: the clip's name in the score table.
        label: `None` where it is unknown.
        score: the clip's score.
        rank: place by score among the test clips of the machine type, 1 for the highest.
        spectrogram: what the model saw, or a log-mel of it, `[N, F]`.
        maps: name of an error map -> the map `[N, F]`, NaN where nothing was predicted. A map with negative values is
            drawn as a signed error: what was there less what was predicted.
        frame_scores: `[M]`; empty for none.
        frame_scores_of: the member that gave the frame scores, where the system has several.
        frame_offset: the frame, counted from 0, on which the first frame score is centred.
        seconds_per_frame: hop of the spectrogram's frames; frame n is centred on n times this.
        bin_frequencies: centre of each bin in Hz, rising, `[F]`; `None` where bins are no frequencies.
        spectrogram_unit: for the legend.
        map_groups: name of an error map -> name of its group. The maps of a group share one colour scale, over all
            clips of the machine type and system; a map without a group shares it with its namesakes.
        words: in what the clip differs from normal ones; empty where nothing is known.
        waveform: `[T]` to listen to, full scale 1; `None` for no player.
        sample_rate: of the waveform, in Hz.
        beside: the nearest normal clip, where a member knows it.
    """

    system: str
    machine_type: str
    machine_id: str
    file: str
    label: Label | None
    score: float
    rank: int
    spectrogram: NDArray[np.float32]
    maps: Mapping[str, NDArray[np.float32]]
    frame_scores: NDArray[np.float32]
    seconds_per_frame: float
    frame_offset: float = 0.0
    bin_frequencies: NDArray[np.float64] | None = None
    spectrogram_unit: str = "dB"
    map_groups: Mapping[str, str] = field(default_factory=dict)
    frame_scores_of: str = ""
    waveform: NDArray[np.float32] | None = None
    sample_rate: int | None = None
    beside: Beside | None = None
    words: str = ""


System = tuple[str, str]
"""A system and its protocol."""

Intervals = Mapping[System, Mapping[str, Any]]
"""(system, protocol) -> 95 % intervals over clips in the shape of `metrics.evaluate`, an `Interval` for each `Figures`:
machine type -> machine id or `"mean"` -> `Interval`, and `"mean"` -> `Interval` of the mean over types."""

Spreads = Mapping[System, Mapping[str, Any]]
"""(system, protocol) -> standard deviations over seeds, `Figures` in the shape of `metrics.evaluate`."""


@dataclass(frozen=True, slots=True)
class Cell:
    """One cell of a table.

    Attributes:
        text: what is shown.
        best: set in bold.
        span: number of columns.
        label: shown as a coloured tag.
        small: further lines in small type, such as an interval.
        value: what `text` rounds or leaves out; the exported table has it in full.
        details: name -> value of further numbers of the cell; each becomes a column of the exported table.
    """

    text: str
    best: bool = False
    span: int = 1
    label: bool = False
    small: str = ""
    value: float | str | None = None
    details: Mapping[str, float] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Table:
    """A table of the page.

    Attributes:
        caption: what the table shows.
        columns: names of the columns.
        rows: cells; the first of each row is its heading.
        groups: headings above the columns, each with the number of columns that it spans; empty for none.
        texts: number of leading columns that hold text; the others hold numbers.
        foot: rows that stand apart at the end, such as counts.
        marked: index of the row of the run's final system.
        note: a line beneath the table.
        name: of its file when the table is exported, without an ending; empty for a table of the page alone.
        units: name of a column -> unit of the exported values.
        starts: indices of the rows that begin a group of rows.
        fold: words under which the table is folded away; empty for a table that is open.
        stacked: on a narrow screen each cell is a line, with the name of its column, instead of a table to scroll.
    """

    caption: str
    columns: Sequence[str]
    rows: Sequence[Sequence[Cell]]
    groups: Sequence[tuple[str, int]] = ()
    texts: int = 1
    foot: Sequence[Sequence[Cell]] = ()
    marked: int | None = None
    note: str = ""
    name: str = ""
    units: Mapping[str, str] = field(default_factory=dict)
    starts: Sequence[int] = ()
    fold: str = ""
    stacked: bool = False


@dataclass(frozen=True, slots=True)
class Section:
    """A further part of the page, after the machine types: a heading, paragraphs, tables and plots."""

    title: str
    paragraphs: Sequence[str] = ()
    tables: Sequence[Table] = ()
    plots: Sequence[Plot] = ()


@dataclass(frozen=True, slots=True)
class ReportData:
    """All that the page shows.

    Attributes:
        title: of the page.
        recipe_name: of the run.
        recipe_text: the resolved recipe, TOML.
        data_name: where the clips came from, in words or as a path.
        date: of the run, as it shall be printed.
        headline: the system that is the run's result; the page opens with it. Never chosen by its test figures. Where
            it has several protocols in `results`, its first one counts.
        data_summary: numbers of clips.
        results: AUC and pAUC of the machines that have any; empty where no clip has a label.
        tables: system -> scores of the test clips, for curves and histograms. Systems stand in this order.
        evidence: the clips to show, the most anomalous first; a clip that several systems scored gets one card.
        histories: member -> one entry per epoch, each a mapping of names to values.
        protocols: protocol -> which data its choices saw, a sentence.
        provenance: name -> value: library versions, seeds, device, numbers.
        notes: what the reader must know, such as machines without an AUC; a sentence each.
        sections: further parts of the page.
        summary: the tables of the overview; empty for one that is made from `results`.
        official: the official score of the system that is the run's result, where its year has one.
    """

    title: str
    recipe_name: str
    recipe_text: str
    data_name: str
    date: str
    headline: str
    data_summary: Sequence[DataRow]
    results: Sequence[ResultRow]
    tables: Mapping[str, ScoreTable]
    evidence: Sequence[Evidence] = ()
    histories: Mapping[str, Sequence[Mapping[str, float]]] = field(default_factory=dict)
    protocols: Mapping[str, str] = field(default_factory=dict)
    provenance: Mapping[str, str] = field(default_factory=dict)
    notes: Sequence[str] = ()
    sections: Sequence[Section] = ()
    summary: Sequence[Table] = ()
    official: Official | None = None
