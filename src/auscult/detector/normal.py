"""What normal sounds have in common in bands, moments and rhythms, and in what another one differs from them.

How loud each band is on the whole, in its loudest half second and in its loudest frame, and how deep its level swings
at each rhythm: mean and deviation over the sounds, and `limits`, the deviation that one in a hundred normal sounds
exceeds somewhere when the others judge it. A difference lies beyond the limit, by at least `LEAST` deviations and
`LEAST_DECIBELS`.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray

from auscult.detector.difference import Difference

Array = NDArray[np.float64]

FEWEST_SOUNDS = 8
LEAST, LEAST_DECIBELS, FLOOR_DECIBELS = 4.0, 3.0, 0.5
"""Deviations and decibels that a difference must have; and the least deviation, however steady normal sound is."""

BLOCK_SECONDS = 0.5
MOST = 3
"""Differences that are named, those furthest beyond the limit first."""

ALL_BANDS = 0.8
"""Share of the bands that must differ in one direction for a difference in all."""

NARROW, STEADY_DECIBELS = 3, 3.0
"""A tone has at most so many bands, whose level varies by less."""

SLOWEST, PER_OCTAVE, GROUPS = 0.4, 6, 4
"""Rhythms: lowest in Hz, steps in an octave, groups of bands whose level is followed."""

SAME, WHOLE = 0.5, 0.8
"""A difference is there where half its size is; it is in the whole sound if it is in so great a share of it."""


@dataclass(frozen=True, eq=False)
class Normal:
    """What many normal sounds have in common.

    Attributes:
        frequencies: centres of the bands in Hz, rising `[F]`.
        frame_rate: frames per second.
        seconds: of a usual sound.
        of: statistic -> mean and deviation over the sounds `[2, K]`.
        limits: statistic -> greatest deviation of normal sounds.
    """

    frequencies: Array
    frame_rate: float
    seconds: float
    of: Mapping[str, Array]
    limits: Mapping[str, float]

    @classmethod
    def learned(cls, sounds: Iterable[NDArray[np.float32]], frequencies: Array, frame_rate: float) -> Self | None:
        """Of normal sounds, levels `[N, F]` in dB each; none of fewer than `FEWEST_SOUNDS`."""
        rows, seconds = [], 0.0
        for levels in sounds:
            seconds = seconds or len(levels) / frame_rate
            rows.append(statistics_of(levels, frame_rate, seconds))
        return cls.among(rows, frequencies, frame_rate, seconds)

    @classmethod
    def among(
        cls, rows: Sequence[Mapping[str, NDArray[Any]]], frequencies: Array, frame_rate: float, seconds: float
    ) -> Self | None:
        """Of the statistics of normal sounds, which last so many seconds."""
        if len(rows) < FEWEST_SOUNDS:
            return None
        found = {name: _normal_of(np.array([row[name] for row in rows], dtype=np.float64)) for name in rows[0]}
        of, limits = (
            {name: one for name, (one, _) in found.items()},
            {name: limit for name, (_, limit) in found.items()},
        )
        return cls(np.asarray(frequencies, dtype=np.float64), frame_rate, seconds, of, limits)

    def arrays(self) -> dict[str, Array]:
        """All of it as arrays, to be saved."""
        facts = {"shape": np.array([self.frame_rate, self.seconds]), "frequencies": self.frequencies}
        return {**facts, **self.of, "limits": np.array([self.limits[name] for name in sorted(self.of)])}

    @classmethod
    def of_arrays(cls, arrays: Mapping[str, Array]) -> Self:
        """What `arrays` gave; a `ValueError` or `LookupError` if it is none."""
        of = {name: arrays[name] for name in ("loud", "peak", "steady", "swing")}
        frame_rate, seconds = arrays["shape"].tolist()
        bands = len(arrays["frequencies"])
        if any(of[name].shape != (2, bands + 1) for name in ("loud", "peak", "steady")) or not seconds < 4000:
            raise ValueError("a profile of normal sound whose sizes do not fit")
        if of["swing"].shape != (2, GROUPS * (len(_rhythms(frame_rate, seconds)) - 1)) or bands < GROUPS:
            raise ValueError("a profile of normal sound whose rhythms do not fit")
        limits = dict(zip(sorted(of), arrays["limits"].tolist(), strict=True))
        return cls(arrays["frequencies"], frame_rate, seconds, of, limits)

    def differences(self, levels: NDArray[np.float32]) -> list[Difference]:
        """In what a sound, levels `[N, F]` in dB, differs: at most `MOST` things, the strongest first."""
        found = statistics_of(levels, self.frame_rate, self.seconds)
        claims, rest, taken = self._steady(levels, found["steady"])
        claims += self._moments(rest, "loud", taken)
        claims += self._moments(rest, "peak", taken)
        noises = [one for one in claims if one.kind in ("band", "tone") and one.start is None]  # all the time
        claims += [one for one in self._rhythms(levels, found["swing"]) if one.kind != "missing" or not noises]
        return sorted(claims, key=lambda claim: -claim.strength)[:MOST]

    def _steady(
        self, levels: NDArray[np.float32], found: Array
    ) -> tuple[list[Difference], NDArray[np.float32], NDArray[np.bool_]]:
        """Differences on the whole; the levels without the one in all bands; which bands are spoken of `[F]`."""
        (mean, sd), limit = self.of["steady"], max(LEAST, self.limits["steady"])
        more = found - mean
        claims, bands = [], more[:-1]
        common = float(np.median(bands))
        share = float((np.sign(common) * bands >= 1).mean())
        if abs(more[-1] / sd[-1]) > limit and abs(common) >= LEAST_DECIBELS and share >= ALL_BANDS:
            kind, strength = "louder" if common > 0 else "quieter", float(abs(more[-1] / sd[-1]) / limit)
            claims.append(Difference(kind, decibels=common, strength=strength))
            bands, levels = bands - common, levels - np.float32(common)
        taken = np.zeros(len(bands), dtype=bool)
        deviations = bands / sd[:-1]
        for sign in (1, -1):
            for first, last in runs_of((sign * deviations > limit) & (sign * bands >= LEAST_DECIBELS), bridged=1):
                run = slice(first, last)
                size, taken[run] = float(bands[run].mean()), True
                series = levels[:, run].mean(axis=1) - mean[run].mean()
                start, end = self._extent(sign * series, abs(size))
                narrow = last - first <= NARROW and float(np.std(series)) < STEADY_DECIBELS
                kind = "fainter" if sign < 0 else "tone" if narrow else "band"
                strength = float(np.abs(deviations[run]).max() / limit)
                claims.append(Difference(kind, *self._edges(first, last), start, end, size, strength=strength))
        return claims, levels, taken

    def _moments(self, levels: NDArray[np.float32], name: str, taken: NDArray[np.bool_]) -> list[Difference]:
        """The loudest moments, half seconds or frames, of bands that are not spoken of yet."""
        (mean, sd), limit = self.of[name][:, :-1], max(LEAST, self.limits[name])
        size = round(BLOCK_SECONDS * self.frame_rate) if name == "loud" else 1
        more = _moving(levels, size) - mean
        deviations = np.where(taken, 0, more / sd)
        marked = (deviations > limit) & (more >= LEAST_DECIBELS)
        if not marked.any():
            return []
        worst, band = np.unravel_index(int(np.where(marked, deviations, 0).argmax()), marked.shape)
        first, last = next(run for run in runs_of(marked[worst], bridged=1) if run[0] <= band < run[1])
        taken[first:last] = True
        runs = runs_of(marked[:, first:last].any(axis=1), bridged=2 if size == 1 else size)
        start, end = runs[0][0] / self.frame_rate, (runs[-1][1] - 1 + size) / self.frame_rate
        gaps = np.diff([run[0] for run in runs]) / self.frame_rate
        regular = len(gaps) >= 3 and float(np.subtract(*np.percentile(gaps, [75, 25]))) < 0.3 * float(np.median(gaps))
        return [
            Difference(
                "band" if size > 1 else "blow",
                *self._edges(first, last),
                start,
                end,
                float(more[worst, first:last].mean()),
                1 / float(np.median(gaps)) if regular else None,
                len(runs),
                strength=float(deviations[worst, band] / limit),
            )
        ]

    def _rhythms(self, levels: NDArray[np.float32], found: Array) -> list[Difference]:
        """The rhythm that has become deepest, and the one that is missing most, over all groups of bands."""
        (mean, sd), limit = self.of["swing"], max(LEAST, self.limits["swing"])
        edges = _rhythms(self.frame_rate, self.seconds)
        deviations, per = (found - mean) / sd, len(edges) - 1
        depth = 2 * (10 ** (found / 20) - 10 ** (mean / 20))
        around = np.median(mean.reshape(GROUPS, per), axis=1).repeat(per)
        gone = (mean - around >= LEAST_DECIBELS) & (10 ** ((found - mean) / 20) < 0.5) & (depth <= -LEAST_DECIBELS)
        claims = []
        for kind, marked in (("swing", depth >= LEAST_DECIBELS), ("missing", gone)):
            sizes = np.where(marked, np.abs(deviations), 0.0)
            place = int(sizes.argmax())
            if sizes[place] > limit and (deviations[place] > 0) == (kind == "swing"):
                group, step = divmod(place, per)
                parts = np.array_split(np.arange(len(self.frequencies)), GROUPS)
                band = self._edges(int(parts[group][0]), int(parts[group][-1]) + 1)
                rate = float(np.sqrt(edges[step] * edges[step + 1]))
                size, strength = float(depth[place]), float(sizes[place] / limit)
                claims.append(Difference(kind, *band, decibels=size, rate_hz=rate, strength=strength))
        return claims

    def _edges(self, first: int, last: int) -> tuple[float, float]:
        """Of the bands `first` to `last`, without it, in Hz."""
        centres = self.frequencies
        middles = np.concatenate(
            [[max(centres[0] - (centres[1] - centres[0]) / 2, 1.0)], (centres[:-1] + centres[1:]) / 2]
        )
        return float(middles[first]), float(middles[last] if last < len(middles) else 2 * centres[-1] - middles[-1])

    def _extent(self, series: Array, size: float) -> tuple[float | None, float | None]:
        """From when to when a difference of a size is there; none for the beginning and the end."""
        block = min(round(BLOCK_SECONDS * self.frame_rate), len(series))
        there = _moving(series[:, None], block)[:, 0] > SAME * size
        places = np.flatnonzero(there)
        if not len(places) or there.mean() >= WHOLE:
            return None, None
        first, last = int(places[0]), int(places[-1])
        start = None if first <= block else (first + block / 2) / self.frame_rate
        return start, None if last >= len(there) - 1 - block else (last + block / 2) / self.frame_rate


def statistics_of(levels: NDArray[np.float32], frame_rate: float, seconds: float) -> dict[str, Array]:
    """What is learned of a sound, levels `[N, F]` in dB.

    Each band on the whole, and the mean of all `[F + 1]`; the same of the loudest half second and of the loudest frame;
    and how deep each group of bands swings at each rhythm, `20 log10` of its amplitude in dB.
    """
    levels = np.asarray(levels, dtype=np.float64)
    whole = np.column_stack([levels, levels.mean(axis=1)])
    block = min(round(BLOCK_SECONDS * frame_rate), len(levels))
    groups = np.column_stack([part.mean(axis=1) for part in np.array_split(levels, GROUPS, axis=1)])
    window = np.hanning(len(levels) + 2)[1:-1, None]
    swings = 2 * np.abs(np.fft.rfft((groups - groups.mean(axis=0)) * window, axis=0)) / window.sum()  # [M, G]
    places = np.fft.rfftfreq(len(levels), 1 / frame_rate)
    firsts = np.searchsorted(places, _rhythms(frame_rate, seconds))
    deepest = [swings[min(a, len(swings) - 1) : max(a + 1, b)].max(axis=0) for a, b in pairwise(firsts)]
    return {
        "steady": whole.mean(axis=0),
        "loud": _moving(whole, block).max(axis=0),
        "peak": whole.max(axis=0),
        "swing": 20 * np.log10(np.array(deepest).T.reshape(-1) + 0.1),
    }


def _normal_of(values: Array) -> tuple[Array, float]:
    """Mean and deviation `[2, K]` of values `[C, K]`, and what one in a hundred exceeds when the others judge it."""
    count, mean = len(values), values.mean(axis=0)
    squares = (values - mean) ** 2
    without = np.maximum(squares.sum(axis=0) - squares * count / (count - 1), 0) / (count - 2)
    apart = np.abs(values - mean) * count / (count - 1) / np.maximum(np.sqrt(without), FLOOR_DECIBELS)
    deviation = np.maximum(values.std(axis=0, ddof=1), FLOOR_DECIBELS)
    return np.stack([mean, deviation]), float(np.quantile(apart.max(axis=1), 0.99))


def _rhythms(frame_rate: float, seconds: float) -> Array:
    """Edges of the rhythms in Hz, for sounds of a length: three turns at least, and two frames a turn."""
    low, high = max(SLOWEST, 3 / seconds), 0.45 * frame_rate
    return np.asarray(low * 2 ** (np.arange(2 + max(0, int(np.log2(high / low) * PER_OCTAVE))) / PER_OCTAVE))


def _moving(values: NDArray[Any], size: int) -> Array:
    """Means over `size` frames of values `[N, K]`, `[N - size + 1, K]`."""
    size = max(1, min(size, len(values)))
    sums = np.concatenate([np.zeros((1, values.shape[1])), np.cumsum(values, axis=0, dtype=np.float64)])
    return np.asarray((sums[size:] - sums[:-size]) / size)


def runs_of(marked: NDArray[np.bool_], *, bridged: int) -> list[tuple[int, int]]:
    """First place and the one behind the last of each run `[N]`; holes of at most so many places are bridged."""
    found: list[tuple[int, int]] = []
    for place in np.flatnonzero(marked).tolist():
        if found and place - found[-1][1] <= bridged:
            found[-1] = found[-1][0], place + 1
        else:
            found.append((place, place + 1))
    return found
