"""Windows of spans of normal sound: frames to train on, levels to compare with."""

import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import pairwise
from pathlib import Path

import numpy as np

from auscult.detector.calibration.folds import Span
from auscult.detector.learn.recordings import HeardWindow, Stretch
from auscult.errors import DatasetError
from auscult.features.bank import Bank, bank_of
from auscult.features.front_end import FrontEnd
from auscult.features.heard import FrontEnds
from auscult.sound.audio import Channel, near_of
from auscult.sound.condition import FRAME_SECONDS, band_levels, extent_of
from auscult.sound.defects import channels_sentence, is_sound
from auscult.sound.windows import Waveform, cut, windows_of

FEWEST_WINDOWS = 8
"""That can be trained on."""

MOST_WINDOWS = 1500
"""That are trained on, of all machines together: they lie in memory."""

TRAINING_OVERLAP = 2
"""Windows to train on begin every window's length over this, where there is not more sound than needed."""

BLOCK_SECONDS = 60.0
"""Length of the blocks whose levels are learned, where there is enough sound."""

FEWEST_LEVELS = 8
"""Blocks that even little sound is cut into."""


@dataclass(frozen=True, slots=True)
class Piece:
    """Sound of one machine without a gap: a span of a stretch."""

    machine: str
    stretch: Stretch
    span: Span

    @property
    def seconds(self) -> float:
        """Length."""
        return self.span.end - self.span.start

    def windows(self, *, sample_rate: int, channel: Channel, length: int, step: int) -> Iterator[tuple[int, Waveform]]:
        """Whole windows with their first samples in the stretch; length and step in samples at a rate in Hz."""
        first, last = round(self.span.start * sample_rate), round(self.span.end * sample_rate)
        blocks = cut(self.stretch.blocks(sample_rate=sample_rate, channel=channel), first=first, last=last)
        for window in windows_of(blocks, length=length, step=step):
            if len(window.samples) == length:
                yield first + window.start, window.samples

    def n_windows(self, *, length: float, step: float) -> int:
        """Whole windows, of lengths in seconds."""
        return max(0, 1 + math.floor((self.seconds - length) / step + 1e-9))

    def parts(self, number: int, *, length: float, step: float) -> "list[Piece]":
        """Pieces that have the same windows, in seconds, one behind the other."""
        count = self.n_windows(length=length, step=step)
        if not count:
            return []
        edges = np.linspace(0, count, min(number, count) + 1).round().astype(int)
        found = []
        for first, last in pairwise(edges.tolist()):
            start = self.span.start + first * step
            end = self.span.end if last == count else start + (last - first - 1) * step + length
            found.append(Piece(self.machine, self.stretch, Span(self.span.recording, start, end)))
        return found


def training_banks(
    pieces: Sequence[Piece],
    front_ends: Mapping[str, FrontEnd],
    *,
    seconds: float,
    sample_rate: int,
    on_window: Callable[[int, int], None],
) -> tuple[dict[str, Bank], list[HeardWindow]]:
    """Member -> bank of the windows that it trains on, each a clip of its own; and where these windows lie.

    Args:
        pieces: to train on, of all machines.
        front_ends: of the members.
        seconds: length of a window.
        sample_rate: at which sounds are read, in Hz.
        on_window: called with the windows done and those expected.

    Raises:
        DatasetError: if there are too few windows.
    """
    shared = FrontEnds(front_ends)
    found: dict[str, list[np.ndarray]] = {name: [] for name in front_ends}
    ids: list[str] = []
    places: list[HeardWindow] = []
    steps = _training_steps(pieces, seconds)
    expected = expected_windows(pieces, seconds)
    length = round(seconds * sample_rate)
    channel = next(iter(front_ends.values())).channel
    for piece in pieces:
        step = round(steps[piece.machine] * sample_rate)
        for start, waveform in piece.windows(sample_rate=sample_rate, channel=channel, length=length, step=step):
            if not is_sound(waveform, sample_rate=sample_rate):
                continue
            places.append(piece.stretch.window(start / sample_rate, seconds))
            for name, frames in shared.frames(waveform, sample_rate=sample_rate).items():
                found[name].append(frames)
            ids.append(piece.machine)
            on_window(len(ids), max(expected, len(ids)))
    if len(ids) < FEWEST_WINDOWS:
        one = pieces[0].stretch.recordings[0].path
        hint = channels_sentence(one, channel) if isinstance(channel, int) else ""
        require_windows(len(ids), seconds, hint=hint)
    banks = {
        name: bank_of(found[name], ids, frame_rate=front_end.features.frame_rate)
        for name, front_end in front_ends.items()
    }
    return banks, places


def expected_windows(pieces: Sequence[Piece], seconds: float) -> int:
    """Windows of pieces that are to be trained on, were all of them sound; of a window's length in seconds."""
    steps = _training_steps(pieces, seconds)
    return sum(max(0, 1 + int((piece.seconds - seconds) / steps[piece.machine] + 1e-9)) for piece in pieces)


def _training_steps(pieces: Sequence[Piece], seconds: float) -> dict[str, float]:
    """Machine -> seconds from one window to train on to the next."""
    sums: dict[str, float] = {}
    for piece in pieces:
        sums[piece.machine] = sums.get(piece.machine, 0.0) + piece.seconds
    return {
        machine: max(seconds / TRAINING_OVERLAP, total * len(sums) / MOST_WINDOWS) for machine, total in sums.items()
    }


def require_windows(n_windows: int, seconds: float, *, hint: str = "") -> None:
    """Refuse to learn from next to nothing.

    Raises:
        DatasetError: if there are too few windows to train on.
    """
    if n_windows < FEWEST_WINDOWS:
        raise DatasetError(
            f"there are {n_windows} windows of {seconds:g} s to train on, without silence, clipping and drop-outs, and "
            f"{FEWEST_WINDOWS} are the least; record more normal sound, or choose shorter windows with --window"
            + f". {hint}".rstrip(". ")
        )


@dataclass(frozen=True, slots=True)
class Judgements:
    """Windows of one piece: where each starts, in seconds of the stretch `[W]`, and whether it is sound `[W]`."""

    piece: Piece
    seconds: float
    starts: np.ndarray
    sound: np.ndarray


def flawed(windows: Sequence[Judgements]) -> list[Path]:
    """The recordings in which windows are silence, clipped or with a drop-out.

    A window may lie in several; those that also lie in sound windows are named where there are no others.
    """
    touched: dict[bool, dict[Path, None]] = {True: {}, False: {}}
    for one in windows:
        recordings = one.piece.stretch.recordings
        ends = np.cumsum([recording.info.duration for recording in recordings])
        first = np.searchsorted(ends, one.starts + 1e-6, side="right")
        last = np.minimum(np.searchsorted(ends, one.starts + one.seconds - 1e-6), len(ends) - 1)
        for start, stop, sound in zip(first.tolist(), last.tolist(), one.sound.tolist(), strict=True):
            touched[sound] |= dict.fromkeys(recording.path for recording in recordings[start : stop + 1])
    return [path for path in touched[False] if path not in touched[True]] or list(touched[False])


@dataclass(frozen=True, slots=True)
class PieceLevels:
    """How the sound of some pieces came.

    Attributes:
        blocks: levels of disjoint blocks, of a minute each where there is enough, `[N, F]`.
        extents: of windows, see `extent_of`.
        windows: all that were looked at.
        sounds: those that are sound, as `hear` gave them.
    """

    blocks: list[np.ndarray]
    extents: list[tuple[float, float]]
    windows: list[Judgements]
    sounds: list[dict[str, np.ndarray]] = field(default_factory=list)


def levels_of(
    pieces: Sequence[Piece],
    *,
    sample_rate: int,
    channel: Channel,
    window_seconds: float,
    on_seconds: Callable[[float], None],
    hear: Callable[[Waveform], dict[str, np.ndarray]] = lambda _: {},
) -> PieceLevels:
    """How the sound of pieces came.

    As in the monitor, blocks are filled from windows that share no sound, and over the ends of recordings; windows that
    are silence, clipped or with a drop-out are left out. `on_seconds` is called with the length of each window.
    """
    seconds = min(BLOCK_SECONDS, sum(piece.seconds for piece in pieces) / FEWEST_LEVELS)
    length = round(max(min(window_seconds, seconds), FRAME_SECONDS) * sample_rate)
    found = PieceLevels([], [], [])
    held: list[np.ndarray] = []
    for piece in pieces:
        places: dict[int, bool] = {}
        for start, waveform in piece.windows(sample_rate=sample_rate, channel=channel, length=length, step=length):
            places[start] = is_sound(waveform, sample_rate=sample_rate)
            if places[start]:
                found.sounds.append(hear(waveform))
                near = near_of(waveform)
                held.append(band_levels(near, sample_rate=sample_rate))
                found.extents.append(extent_of(near, sample_rate=sample_rate))
            if sum(map(len, held)) * FRAME_SECONDS >= seconds:
                found.blocks.append(np.concatenate(held))
                held = []
            on_seconds(length / sample_rate)
        starts, sound = np.array([*places]) / sample_rate, np.array([*places.values()], dtype=bool)
        found.windows.append(Judgements(piece, length / sample_rate, starts, sound))
    return found
