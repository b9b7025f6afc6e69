"""The far microphone on the synthetic factory: official scores with it and without, by noise and by leakage.

`python -m benchmarks.far` prints a table and writes `benchmarks/results/far.json`, in about ten minutes on a processor
of its own. It exits with 1 where a target is missed. The guard's constants (`auscult.sound.far`) were chosen on the
labels of test clips of four of these machine types in another factory, seed 0 at 6 dB; it had not seen these machines.

A hall is recorded once, its machine and its noise apart, the machine as loud at the far microphone as at the near one;
every level of noise and of leakage is that recording with its parts scaled, as the factory scales them.
"""

import argparse
import os
import sys
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

os.environ.setdefault("OMP_NUM_THREADS", "1")  # before torch is imported

import numpy as np
from numpy.typing import NDArray

from auscult.clips import LABELS, Label, Split
from auscult.datasets.factory.hall import Hall, HallRecording
from auscult.datasets.factory.sounds import SAMPLE_RATE
from auscult.datasets.years import YEARS
from auscult.features.bank import Bank, bank_of
from auscult.features.front_end import FrontEnd
from auscult.features.heard import FrontEnds
from auscult.members.fitting import fit_parts, front_ends_of
from auscult.recipe import Recipe, load_recipe
from auscult.scores.official import harmonic_mean
from auscult.sound.far import without_far
from benchmarks.full_size import official_parts
from benchmarks.full_size_sets import Machines
from benchmarks.places import RESULTS, write

SYSTEMS = ("spectral", "best")
SEEDS, SNRS_DB, LEAKAGES = (1, 2), (-6.0, 0.0, 6.0), (0.0, 0.1, 0.5)
"""Of the factory; mean power of the machine over that of the noise, near by; amplitude of the machine far away over
that near by."""

SECONDS, TRAIN, TESTS = 6, {"source": 28, "target": 4}, 10
"""Of a clip; training clips by domain; test clips of each domain and label."""

MOST_LOST, LEAST_GAINED = 1.0, 3.0
"""Points of the official score: where the far microphone hears the machine, and where it hears noise alone."""

Sound = NDArray[np.float32]


@dataclass(frozen=True, slots=True)
class Take:
    """A clip with its parts at 0 dB and a leakage of 1."""

    train: bool
    anomaly: bool
    domain: str
    heard: HallRecording

    def sound(self, snr_db: float, leakage: float) -> Sound:
        """What both microphones hear `[T, 2]`."""
        noise = self.heard.background * 10 ** (-snr_db / 20)
        return np.asarray(np.clip(self.heard.machine * np.array([1.0, leakage]) + noise, -1, 1), dtype=np.float32)


def takes_of(kind: str, seed: int) -> list[Take]:
    """All clips of one machine of 2026."""
    hall, (id_, *_) = Hall(seed=seed, snr_db=0.0, leakage=1.0), YEARS[2026].development[kind]

    parts: list[tuple[Split, Label, str, int]] = [("train", "normal", domain, count) for domain, count in TRAIN.items()]
    parts += [("test", label, domain, TESTS) for domain in TRAIN for label in LABELS]
    return [
        Take(
            split == "train",
            label == "anomaly",
            domain,
            hall.record(kind, id_, split, label, index, n_samples=SECONDS * SAMPLE_RATE, domain=domain),
        )
        for split, label, domain, count in parts
        for index in range(count)
    ]


def scores(takes: Sequence[Take], sounds: Sequence[Sound], *overrides: str) -> dict[str, float]:
    """System -> official score of one machine in per cent; sounds `[T]`, or `[T, 2]` for recipes of two channels."""
    recipes = {name: load_recipe(name, overrides) for name in SYSTEMS}
    shared = {
        name: front_end
        for recipe in recipes.values()
        for name, front_end in front_ends_of(recipe.member, recipe, weights=None).items()
    }
    heard = FrontEnds(shared)
    frames = [heard.frames(sound, sample_rate=SAMPLE_RATE) for sound in sounds]

    def bank(name: str, *, train: bool) -> Bank:
        some = [place for place, take in enumerate(takes) if take.train == train]
        rate, domains = shared[name].features.frame_rate, tuple(takes[place].domain for place in some)
        made = bank_of([frames[place][name] for place in some], ["00"] * len(some), frame_rate=rate)
        return replace(made, domains=domains)

    train, test = ({name: bank(name, train=kept) for name in shared} for kept in (True, False))
    return {system: _official(recipe, takes, shared, train, test) for system, recipe in recipes.items()}


def _official(
    recipe: Recipe,
    takes: Sequence[Take],
    front_ends: Mapping[str, FrontEnd],
    train: Mapping[str, Bank],
    test: Mapping[str, Bank],
) -> float:
    parts = fit_parts(recipe.member, recipe, front_ends, train, device="cpu", on_epoch=lambda *_: None)
    members = [
        [part.standardise(one) for one in part.model.score_clips(test[part.name], pooling=part.pooling)]
        for part in parts
    ]
    judged = [take for take in takes if not take.train]
    labels, domains = np.array([take.anomaly for take in judged]), np.array([take.domain for take in judged])
    some = next(iter(test.values()))
    figures = official_parts(Machines("", some, some, labels, domains), np.mean(members, axis=0))
    return 100 * float(harmonic_mean(list(figures.values())))


def measure(kind: str, seed: int) -> Iterator[dict[str, Any]]:
    """A row for each system, level of noise and leakage: without the far microphone, with it, and unguarded."""
    takes = takes_of(kind, seed)
    for snr_db in SNRS_DB:
        without = scores(takes, [take.sound(snr_db, 0.0)[:, 0] for take in takes])
        for leakage in LEAKAGES:
            both = [take.sound(snr_db, leakage) for take in takes]
            found = scores(takes, both, "reference_channel=1")
            bare = {}
            if snr_db == max(SNRS_DB):  # where a machine is loudest at the far microphone, too
                bare = scores(takes, [without_far(sound, guard=False) for sound in both])
            for name in SYSTEMS:
                where = {"machine": f"{kind} {seed}", "system": name, "snr_db": snr_db, "leakage": leakage}
                yield {**where, "without": without[name], "with": found[name], "bare": bare.get(name)}


def summary(rows: Sequence[Mapping[str, Any]]) -> dict[str, float | None]:
    """Means over machines, and the gain with its interval (95 %, by the spread over machines)."""
    from scipy.stats import t

    gains = np.array([row["with"] - row["without"] for row in rows])
    half = float(t.ppf(0.975, len(gains) - 1) * gains.std(ddof=1) / len(gains) ** 0.5)
    means = {name: float(np.mean([row[name] for row in rows])) for name in ("without", "with")}
    bare = None if rows[0]["bare"] is None else float(np.mean([row["bare"] for row in rows]))
    return {
        **means,
        "bare": bare,
        "gain": float(gains.mean()),
        "low": float(gains.mean()) - half,
        "high": float(gains.mean()) + half,
    }


def summaries(rows: Sequence[Mapping[str, Any]]) -> list[dict[str, Any]]:
    """Of each system, level of noise and leakage."""
    keys = list(dict.fromkeys((row["system"], row["leakage"], row["snr_db"]) for row in rows))
    return [
        {
            **dict(zip(("system", "leakage", "snr_db"), key, strict=True)),
            **summary([row for row in rows if (row["system"], row["leakage"], row["snr_db"]) == key]),
        }
        for key in sorted(keys)
    ]


def missed(rows: Sequence[Mapping[str, Any]]) -> list[str]:
    """A line for each system and level at which too little is gained or too much is lost."""
    return [
        f"{row['system']}, {row['snr_db']:+.0f} dB, leakage {row['leakage']:g}: {row['gain']:+.1f} points"
        for row in rows
        if row["gain"] < (-MOST_LOST if row["leakage"] else LEAST_GAINED)
    ]


def main() -> int:
    """Measure, print, write."""
    import torch

    argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter).parse_args()
    torch.set_num_threads(1)
    rows: list[dict[str, Any]] = []
    for seed in SEEDS:
        for kind in YEARS[2026].development:
            rows += measure(kind, seed)
            print(f"{kind} {seed}: done", file=sys.stderr, flush=True)
    found = summaries(rows)
    print("system    leakage  noise dB  without   with   bare    gain (95 %)")
    for row in found:
        print(
            f"{row['system']:9} {row['leakage']:7g} {row['snr_db']:9g} {row['without']:8.1f} {row['with']:6.1f} "
            f"{row['bare'] or float('nan'):6.1f}  {row['gain']:+.1f} ({row['low']:+.1f} to {row['high']:+.1f})"
        )
    write({"summary": found, "machines": rows}, RESULTS / "far.json")
    for line in (wrong := missed(found)):
        print(f"missed: {line}", file=sys.stderr)
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main())
