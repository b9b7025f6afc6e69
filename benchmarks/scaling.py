"""How cost grows with the number of clips: exponents of training, scoring and the search of weights, and their plot.

Each cost is the time of this process on one thread at four sizes, the least of three; its exponent is the slope of the
line through logarithm of cost against logarithm of clips. A slope of 1 is a cost in proportion. `exponent_train` is the
largest of the families'. `benchmarks/results/scaling.json` holds the times, `docs/images/scaling.png` shows them.
"""

import tempfile
import time
from collections.abc import Callable, Mapping
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.places import PROJECT, RESULTS, write

PLOT = PROJECT / "docs" / "images" / "scaling.png"

TRAIN, SCORE, WEIGHTS = (250, 500, 1000, 2000), (100, 200, 400, 800), (700, 1400, 2800, 5600)
"""Numbers of clips."""
REPEATS = 3
N_FRAMES, N_BINS = 100, 128

Line = dict[str, list[float]]
"""`clips` and `seconds`."""


def figures() -> dict[str, float]:
    lines = {**training_lines(), "score": scoring_line(), "weights": weights_line()}
    write(lines, RESULTS / "scaling.json")
    draw(lines)
    return {
        "exponent_train": max(exponent(line) for name, line in lines.items() if name.startswith("train")),
        "exponent_score": exponent(lines["score"]),
        "exponent_weights": exponent(lines["weights"]),
    }


def exponent(line: Line) -> float:
    """Slope of the logarithms."""
    return float(np.polyfit(np.log(line["clips"]), np.log(line["seconds"]), 1)[0])


def costs(prepare: Mapping[int, Callable[[], object]]) -> Line:
    """Number of clips -> what costs time; sizes take turns."""
    times: dict[int, list[float]] = {n: [] for n in prepare}
    next(iter(prepare.values()))()  # imports and caches are no part of it
    for _ in range(REPEATS):
        for n, work in prepare.items():
            started = time.process_time()
            work()
            times[n].append(time.process_time() - started)
    return {"clips": [float(n) for n in times], "seconds": [min(some) for some in times.values()]}


def families() -> dict[str, Any]:
    """One model of each family, small."""
    from auscult.models import HVAE, IDCAE, Freak, Spectral

    return {
        "hvae": HVAE(hidden=(64, 32), n_latent=8, big_precision=True),
        "idcae": IDCAE(windows_per_clip=50),
        "freak": Freak(m=1, n_layers=2, crop=60, covariance="identity"),
        "spectral": Spectral(),
    }


def noise(n: int) -> Any:
    """A bank of n clips of two machines."""
    from auscult.features.bank import bank_of

    frames = np.random.default_rng(n).normal(-40, 5, size=(n, N_FRAMES, N_BINS)).astype(np.float32)
    return bank_of(frames, [f"id_{index % 2:02d}" for index in range(n)])


def training_lines() -> dict[str, Line]:
    """Two epochs of each family, with all that `fit` does before and after."""
    from auscult.training import Training

    banks, training = {n: noise(n) for n in TRAIN}, Training(epochs=2)
    return {
        f"train {name}": costs({n: partial(model.fit, bank, training=training) for n, bank in banks.items()})
        for name, model in families().items()
    }


def scoring_line() -> Line:
    """All families as one system, from file to score."""
    from auscult.detector.listing import score_all
    from auscult.features import LogMel
    from auscult.features.front_end import FrontEnd
    from auscult.training import Training
    from benchmarks.inference import RATE, detector_of, recordings

    front_end, bank, members = FrontEnd(LogMel(RATE)), noise(20), families()
    for model in members.values():
        model.fit(bank, training=Training(epochs=1))
    detector = detector_of({name: (model, front_end) for name, model in members.items()})
    with tempfile.TemporaryDirectory() as folder:
        paths = recordings(Path(folder), max(SCORE))

        def score(n: int) -> object:
            return list(score_all(detector, paths[:n], machine=None))

        return costs({n: partial(score, n) for n in SCORE})


def weights_line() -> Line:
    """The search of three weights on the labels of n clips of four machines, whole and without each machine."""
    from auscult.clips import LABELS
    from auscult.scores.ensemble import Node, Scores, combine
    from auscult.scores.table import ScoreRow, ScoreTable

    def table(seed: int, n: int) -> ScoreTable:
        rng = np.random.default_rng(seed)
        labels = [LABELS[rank % 2] for rank in range(n)]
        return ScoreTable(
            ScoreRow("fan", f"id_{rank % 4:02d}", f"{rank}.wav", labels[rank // 4], float(rng.standard_normal()))
            for rank in range(n)
        )

    def search(leaves: Any) -> None:
        node = Node("all", tuple(leaves), weights="search")
        for protocol in ("paper", "leave-one-id-out"):
            combine([node], leaves, protocol)

    systems = {
        n: {f"m{seed}": Scores(table(seed, n), table(seed, n), ScoreTable([])) for seed in range(3)} for n in WEIGHTS
    }
    return costs({n: partial(search, leaves) for n, leaves in systems.items()})


def draw(lines: Mapping[str, Line]) -> None:
    """Cost against clips, both logarithmic, with a line of slope 1 to compare with."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    figure = Figure(figsize=(7.2, 4.4), layout="constrained")
    FigureCanvasAgg(figure)
    axes = figure.subplots()
    for (name, line), marker in zip(lines.items(), "osD^vP", strict=False):
        label = f"{name}: exponent {exponent(line):.2f}"
        axes.loglog(line["clips"], line["seconds"], marker=marker, markersize=5, linewidth=1.5, label=label)
    clips = np.array(
        [min(line["clips"][0] for line in lines.values()), max(line["clips"][-1] for line in lines.values())]
    )
    least = min(line["seconds"][0] / line["clips"][0] for line in lines.values())
    axes.loglog(clips, 0.5 * least * clips, color="0.6", linestyle="--", linewidth=1, label="in proportion")
    axes.set(xlabel="clips", ylabel="seconds of one processor", title="Cost against the number of clips")
    axes.grid(which="major", color="0.9")
    axes.spines[["top", "right"]].set_visible(False)
    axes.legend(frameon=False, loc="center left", bbox_to_anchor=(1.0, 0.5))
    PLOT.parent.mkdir(parents=True, exist_ok=True)
    figure.savefig(PLOT, dpi=110, metadata={"Software": None})
