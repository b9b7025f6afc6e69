"""Embeddings of any encoder in an ONNX file: from the waveform, or from features that the recipe describes."""

from collections.abc import Mapping, Sequence
from functools import cached_property
from itertools import combinations
from typing import Any, ClassVar, Literal, get_args

import numpy as np
from numpy.typing import NDArray

from auscult.errors import FeatureError, WeightsError
from auscult.features.base import Features
from auscult.features.onnx_graph import Graph
from auscult.features.remembered import Remembered
from auscult.features.weights import VARIABLE, file_sha256, find_file

Array = NDArray[np.float32]

Sees = Literal["window", "clip"]

LONGEST = 600.0
"""Seconds of a window."""


class OnnxEncoder(Features):
    """Runs an encoder's graph on windows of a clip, or on the whole clip.

    What the graph is given is `scale * x + offset`, of samples between -1 and 1 or of the frames of `front_end`. Axes
    of length 1 are added and taken away as the graph has them: `[T]`, `[1, T]`, `[B, 1, T]`, or `[frames, bins]` with
    any of these, time first unless the graph's own lengths say otherwise.

    Args:
        file: name of the graph in the folder of weights.
        sample_rate: of the waveforms, in Hz.
        window: what the graph sees at once, in seconds; for a whole clip, what its first frame is made of.
        hop: distance of the windows, or of the frames of a whole clip, in seconds.
        sees: `"window"`, one embedding of each window, or `"clip"`, as many frames as a clip has.
        front_end: features that the graph is given instead of samples: their kind and arguments.
        scale, offset: of what the graph is given.
        batch: windows at once, where the graph takes more; only of those embedded alone the last are remembered.
        input, output: names, where the graph has several.
        device: on which to compute, `"cpu"` or `"cuda"`.
        weights: folder of the graphs; if none is given, the environment variable `AUSCULT_WEIGHTS` names it.
        sha256: that the file must have; if none is given, any.

    Shape:
        `[T]` -> `[N, F]`; F is the graph's. A clip shorter than a window is continued by silence.

    Raises:
        FeatureError: for arguments out of range, a graph that is missing, damaged, another, or of other shapes.
    """

    kind: ClassVar[str] = "onnx"
    places: ClassVar[frozenset[str]] = frozenset({"weights"})
    limits: ClassVar[Mapping[str, int]] = {"batch": 4096}

    def __init__(
        self,
        sample_rate: int,
        *,
        file: str,
        window: float,
        hop: float,
        sees: Sees = "window",
        front_end: dict[str, Any] | None = None,
        scale: float = 1.0,
        offset: float = 0.0,
        batch: int = 1,
        input: str | None = None,
        output: str | None = None,
        device: str = "cpu",
        weights: str | None = None,
        sha256: str | None = None,
    ) -> None:
        if sees not in get_args(Sees):
            raise FeatureError(f"onnx: sees is {sees!r}; choose one of {', '.join(get_args(Sees))}")
        if "/" in file or "\\" in file or file.startswith("."):
            raise FeatureError(
                f"onnx: file is {file!r}; give the name of a file in the folder of weights, without a path"
            )
        if not 0 < hop <= LONGEST or not 0 < window <= LONGEST or batch < 1:
            raise FeatureError(
                f"onnx: window {window} s, hop {hop} s, batch {batch}; give seconds above 0, at most {LONGEST:g}, and "
                "a batch of at least 1"
            )
        self.file, self.window, self.hop, self.sees, self.batch = file, float(window), float(hop), sees, batch
        self.scale, self.offset, self.input, self.output = float(scale), float(offset), input, output
        self.device, self.weights, self.sample_rate, self.front_end = device, weights, sample_rate, front_end
        self.before = self._features_before()
        self._unit = sample_rate if self.before is None else self.before.frame_rate
        self._window, self._hop = max(1, round(window * self._unit)), max(1, round(hop * self._unit))
        self.frame_rate = self._unit / self._hop
        self.sha256, self._remembered = sha256, Remembered()
        self._open()

    def _features_before(self) -> Features | None:
        if self.front_end is None:
            return None
        from auscult.features import features_within

        return features_within(self.front_end, sample_rate=self.sample_rate, weights=self.weights)

    def _open(self) -> None:
        """Find the graph, look through it, and ask it for the shape of what it gives."""
        advice = f"put the encoder's file there, and set {VARIABLE} or the option weights to its folder"
        path = find_file(self.weights, (self.file,), kind="onnx", advice=advice)
        found = file_sha256(path)
        if self.sha256 not in (None, found):
            raise WeightsError(
                f"{path} is not the file that was asked for: its SHA-256 is {found}, not {self.sha256}; {advice}"
            )
        self.sha256 = found
        self.graph = Graph(path, input=self.input, output=self.output, device=self.device)
        rng = np.random.default_rng(0)
        lengths = [self._window] if self.sees == "window" else [self._window, self._window + 9 * self._hop]
        for length in lengths:
            shape = (length,) if self.before is None else (length, self.before.n_bins)
            given = self._run(rng.normal(0, 0.1, shape).astype(np.float32)[None])
            expected = 1 + (length - self._window) // self._hop
            if given.shape[1] != expected:
                raise FeatureError(
                    f"{path}: of {length} {self._what} it makes {given.shape[1]} frames, and with a window of "
                    f"{self.window:g} s every {self.hop:g} s they would be {expected}; give window and hop of its "
                    'frames, with sees = "clip" where it makes many at once'
                )
        self.n_bins = int(given.shape[2])

    def carried(self) -> tuple[dict[str, Any], dict[str, bytes]]:
        """The graph's file, and those of the features that it is given."""
        if self.kept is not None:
            return self.config(), self.kept
        config, files = self.config(), {self.file: self.graph.path.read_bytes()}
        if self.before is not None:
            config["front_end"], more = self.before.carried()
            files |= more
        return config, files

    @property
    def turned(self) -> bool:
        """Whether the graph wants bins before time."""
        return self.before is not None and self.arrangement([1, self._window, self.before.n_bins])[0]

    @property
    def in_units(self) -> tuple[int, int]:
        """Window and hop in what the graph is given: samples, or frames."""
        return self._window, self._hop

    @property
    def _what(self) -> str:
        return "samples" if self.before is None else "frames"

    def n_frames(self, n_samples: int) -> int:
        """Frames N of a clip of so many samples."""
        length = n_samples if self.before is None else self.before.n_frames(n_samples)
        return 1 + max(0, length - self._window) // self._hop

    def __call__(self, waveform: Array) -> Array:
        """Compute the embeddings of one waveform `[T]` -> `[N, F]`."""
        if waveform.ndim != 1 or not len(waveform):
            raise FeatureError(f"onnx: the waveform has the shape {waveform.shape}; give one channel, [T], not empty")
        values = waveform if self.before is None else self.before(waveform)
        if (short := self._window - len(values)) > 0:
            values = np.pad(values, [(0, short), *[(0, 0)] * (values.ndim - 1)])
        if self.sees == "clip":
            frames: Array = self._run(values[None])[0]
            return frames
        places = np.arange(0, len(values) - self._window + 1, self._hop)
        windows = np.lib.stride_tricks.sliding_window_view(values, self._window, axis=0)[places]
        windows = np.moveaxis(windows, -1, 1)  # [N, T] or [N, T, F]
        if self.together == 1:
            return self._remembered(windows, self._embedded)
        return self._embedded(windows)

    def _embedded(self, windows: Array) -> Array:
        size = self.together
        return np.concatenate([self._run(windows[at : at + size]) for at in range(0, len(windows), size)])[:, 0]

    @cached_property
    def together(self) -> int:
        """Windows that the graph is given at once."""
        return self.batch if self._takes_many else 1

    @cached_property
    def _takes_many(self) -> bool:
        """Whether the graph takes several windows at once."""
        if self.sees == "clip":
            return False
        content = [self._window] if self.before is None else [self._window, self.before.n_bins]
        return any(_placed(self.graph.shape, [2, *order]) for order in (content, content[::-1]))

    def _run(self, windows: Array) -> Array:
        """Inputs `[B, T]` or `[B, T, F]` -> frames `[B, N, F]`."""
        found = self.graph(self._shaped(windows * np.float32(self.scale) + np.float32(self.offset)))
        if not np.isfinite(found).all():
            raise FeatureError(f"{self.graph.path} gives numbers that are not finite; check scale and offset")
        count = len(windows)
        if found.ndim < 1 or (count > 1 and found.shape[0] != count):
            raise FeatureError(f"{self.graph.path}: of {count} inputs it makes {list(found.shape)}; set batch to 1")
        rest = [length for length in (found.shape[1:] if found.shape[0] == count else found.shape) if length != 1]
        if len(rest) > 2 or not rest:
            raise FeatureError(
                f"{self.graph.path}: its output has the shape {list(found.shape)}, which is no embedding, nor frames "
                "of one; choose another output"
            )
        return found.reshape(count, *([1] if len(rest) == 1 else []), *rest)

    def _shaped(self, windows: Array) -> Array:
        """Inputs in the graph's own axes."""
        turned, axes = self.arrangement(windows.shape)
        return (windows.transpose(0, 2, 1) if turned else windows).reshape(axes)

    @property
    def open_shape(self) -> list[int]:
        """Lengths of the graph's axes for several windows, or for a clip of any length; -1 where they differ."""
        rest = [] if self.before is None else [self.before.n_bins]
        several = (2, 3) if self.together > 1 else (1, 1)
        lengths = (self._window, self._window + (self.sees == "clip") * self._hop)
        one, other = (self.arrangement([n, length, *rest])[1] for n, length in zip(several, lengths, strict=True))
        return [a if a == b else -1 for a, b in zip(one, other, strict=True)]

    def arrangement(self, shape: Sequence[int]) -> tuple[bool, list[int]]:
        """Of inputs `[B, T]` or `[B, T, F]`: whether time and bins change places, and the lengths of the graph's axes.

        Raises:
            FeatureError: if there is no place for them.
        """
        first, *content = shape
        for turned in (False, True)[: len(content)]:
            lengths = content[::-1] if turned else content
            axes = _placed(self.graph.shape, [first, *lengths])
            if axes is None and first == 1:
                axes = _placed(self.graph.shape, lengths)
            if axes is not None:
                return turned, axes
        said = ["?" if length is None else length for length in self.graph.shape]
        raise FeatureError(
            f"{self.graph.path} takes {said}, and a window of {self.window:g} s has {content} "
            f"{self._what}; set window, sample_rate and front_end to what the encoder was made for"
        )


def _placed(shape: tuple[int | None, ...], lengths: list[int]) -> list[int] | None:
    """Lengths among the axes of a graph, in order, where the other axes have the length 1; none if they do not fit."""
    for places in combinations(range(len(shape)), len(lengths)):
        wanted = dict(zip(places, lengths, strict=True))
        if all(length in (None, wanted.get(axis, 1)) for axis, length in enumerate(shape)):
            return [wanted.get(axis, 1) for axis in range(len(shape))]
    return None
