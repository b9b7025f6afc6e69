"""The graphs of a detector: its encoders, each once, and its members, which read a waveform or an encoder's frames."""

import json
from collections.abc import Mapping
from itertools import count
from pathlib import Path
from typing import Any, NamedTuple

import torch
from torch import nn

from auscult.export.front_ends import INLINE, StatisticsGraph, WindowsGraph, YamnetGraph, least_samples
from auscult.export.graph import PartGraph, write_graph
from auscult.features.base import Features
from auscult.features.onnx_encoder import OnnxEncoder
from auscult.features.vectors import Statistics
from auscult.features.yamnet import Yamnet
from auscult.files import saving
from auscult.members.part import Part

Step = Mapping[str, Any]
"""A graph whose output is the next one's input: `file`, names of `input` and `output`. That of an encoder file has also
the `shape` of what it is given, -1 for the length that is open, how many windows `together`, `values` of a frame."""


class Front(NamedTuple):
    """What stands before a graph.

    Attributes:
        steps: before it.
        width: of the frames that the last step gives; none where there is no step, and the graph reads the waveform.
        module: makes frames of the features in the graph.
    """

    steps: list[Step]
    width: int | None
    module: nn.Module


class GraphWriter:
    """Writes the graphs of a detector's members; those that share an encoder share its files.

    Args:
        folder: of the files.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self._encoders: dict[str, list[Step]] = {}
        self._names = (f"encoder-{number}" for number in count())

    def of(self, part: Part, name: str) -> list[Step]:
        """Write what a member needs. The last step, of that name, gives the `score`; it is given the `machine`, too.

        Raises:
            ExportError: for a model that ONNX cannot express here.
            RunError: if the folder cannot be written to.
        """
        features = part.front_end.features
        front = self._front(features)
        # The exporter takes a size that can be 1 for a constant; the graph is right for a single frame all the same.
        least = part.model.frame_context + 1
        if front.width is None:
            least = least_samples(features, least)
        elif isinstance(features, Statistics):
            least = 2
        return [*front.steps, self._write(PartGraph(part, front.module), front, name, least=least, output="score")]

    def _front(self, features: Features) -> Front:
        if isinstance(features, Statistics):
            steps, width, inner = self._front(features.inner)
            return Front(steps, width, StatisticsGraph(features, inner))
        if type(features) in INLINE:
            return Front([], None, INLINE[type(features)](features))
        key = json.dumps(features.config(), sort_keys=True)
        if key not in self._encoders:
            self._encoders[key] = self._encoder(features, next(self._names))
        return Front(self._encoders[key], features.n_bins, nn.Identity())

    def _encoder(self, features: Features, name: str) -> list[Step]:
        """Write the steps from the waveform to the frames of an encoder."""
        if isinstance(features, Yamnet):
            front, least = Front([], None, nn.Identity()), least_samples(features, 2)
            return [self._write(YamnetGraph(features), front, f"{name}.onnx", least=least, output="frames")]
        assert isinstance(features, OnnxEncoder)
        before = features.before
        front = Front([], None, nn.Identity()) if before is None else self._front(before)
        window, hop = features.in_units
        least = least_samples(features, 2) if front.width is None else window + hop
        windows = WindowsGraph(features, front.module)
        given = self._write(windows, front, f"{name}-windows.onnx", least=least, output="windows")
        with saving(self.folder / f"{name}.onnx"):
            (self.folder / f"{name}.onnx").write_bytes(features.carried()[1][features.file])
        graph = {"file": f"{name}.onnx", "input": features.graph.input, "output": features.graph.output}
        held = {"shape": features.open_shape, "together": features.together, "values": features.n_bins}
        return [*front.steps, given, graph | held]

    def _write(self, graph: nn.Module, front: Front, name: str, *, least: int, output: str) -> Step:
        """Write a graph that reads a waveform of at least so many samples, or so many frames."""
        steps, width, _ = front
        example = [torch.zeros(2 * least + 5000) if width is None else torch.zeros(2 * least + 5, width)]
        names = ["frames" if steps else "waveform"]
        if output == "score":
            names, example = [*names, "machine"], [*example, torch.tensor(0)]
        with saving(self.folder / name):
            write_graph(graph, example, self.folder / name, least=least, names=names, output=output)
        return {"file": name, "input": names[0], "output": output}
