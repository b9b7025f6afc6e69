"""Writes the folder of an export: graphs, description, runner; whole or not at all."""

import json
import platform
import re
import shutil
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from importlib.metadata import version
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Any

from auscult import __version__
from auscult.detector import Detector
from auscult.detector.contents import NEARLY
from auscult.detector.listing import facts_of
from auscult.errors import ExportError
from auscult.files import require_new_folder, saving, whole_folder
from auscult.members.part import Part
from auscult.sound import defects, far

if TYPE_CHECKING:
    from auscult.export.steps import GraphWriter, Step

FORMAT = 2
"""Version of `detector.json`."""

TOLERANCE = 1e-4
"""Greatest difference between ONNX and torch, in standard deviations of normal scores; of greater scores, their share.
"""

PACKAGES = ("onnx", "onnxscript", "onnxruntime")
"""What an export needs beside auscult's own requirements."""


@dataclass(frozen=True, slots=True)
class ExportedMember:
    """A member as it was exported.

    Attributes:
        name: of the member.
        steps: its graphs, in the folder.
        megabytes: size of their files.
        difference: greatest one between ONNX and torch, as `TOLERANCE`.
        milliseconds: that onnxruntime takes for one window, with one thread.
    """

    name: str
    steps: list["Step"]
    megabytes: float
    difference: float
    milliseconds: float


def export_detector(
    detector: Detector, folder: Path, *, on_member: Callable[[int, int], None] | None = None
) -> list[ExportedMember]:
    """Write a detector as ONNX graphs, with `detector.json` and `run.py`, and compare every graph with torch.

    A far microphone is subtracted before the graphs, by `far.py`.

    Args:
        detector: of members that are exported, see `auscult.export.graph.obstacle`.
        folder: to be made.
        on_member: called with the number of members done and of all.

    Raises:
        ExportError: if a package is missing, a member cannot be exported, or a graph differs from torch by more than
            `TOLERANCE`; then there is no folder.
        RunError: if the folder is there already or cannot be written to, or the disk is full.
    """
    require_packages()
    require_new_folder(folder)
    require_exportable(detector)
    from auscult.export.steps import GraphWriter

    members = []
    with saving(folder), whole_folder(folder) as fresh:
        graphs = GraphWriter(fresh)
        for place, part in enumerate(detector.parts):
            members.append(_write_member(detector, part, graphs, f"{place}-{_plain(part.name)}.onnx"))
            if on_member is not None:
                on_member(place + 1, len(detector.parts))
        text = json.dumps(description_of(detector, members), indent=1)
        (fresh / "detector.json").write_text(f"{text}\n", encoding="utf-8")
        shutil.copyfile(Path(__file__).with_name("runner.py"), fresh / "run.py")
        if isinstance(detector.channel, tuple):
            shutil.copyfile(far.__file__, fresh / "far.py")
    return members


def require_packages() -> None:
    """Refuse to begin what needs packages that are not there.

    Raises:
        ExportError: if one is missing.
    """
    missing = [name for name in PACKAGES if find_spec(name) is None]
    if missing:
        raise ExportError(f"an export needs {', '.join(missing)}: pip install 'auscult[onnx]'")


def require_exportable(detector: Detector) -> None:
    """Refuse a detector one of whose members has no graph: without it scores and thresholds would be others.

    Raises:
        ExportError: naming each such member and the reason.
    """
    from auscult.export.graph import obstacle

    reasons = []
    for part in detector.parts:
        rate = part.front_end.features.sample_rate
        reason = obstacle(part)
        if reason is None and rate != detector.sample_rate:
            reason = (
                f"it hears at {rate} Hz and others at {detector.sample_rate} Hz, and nothing is resampled in a graph"
            )
        if reason is not None:
            reasons.append(f"{part.name}: {reason}")
    if reasons:
        raise ExportError(f"the detector cannot be exported: {'; '.join(reasons)}")


def _write_member(detector: Detector, part: Part, graphs: "GraphWriter", name: str) -> ExportedMember:
    from auscult.export.parity import compare

    steps, folder = graphs.of(part, name), graphs.folder
    ids = sorted({machine.machine_id for machine in detector.machines.values()})
    difference, seconds = compare(part, folder, steps, ids, window=detector.samples(detector.window_seconds))
    if not difference <= TOLERANCE:
        raise ExportError(
            f"the graph of {part.name} differs from torch by {difference:.2g}, and {TOLERANCE:g} is allowed; nothing "
            "was written. Please report this with the recipe of the detector"
        )
    size = sum((folder / step["file"]).stat().st_size for step in steps)
    return ExportedMember(part.name, steps, size / 1e6, difference, 1e3 * seconds)


def description_of(detector: Detector, members: Sequence[ExportedMember]) -> dict[str, Any]:
    """All that the runner needs and people want to know, as JSON."""
    from auscult.export.front_ends import least_samples

    facts = facts_of(detector)
    for machine, fact in zip(detector.machines.values(), facts["machines"], strict=True):
        known = machine.calibration
        fact |= {"reference": known and known.reference, "references": known and known.references}
    return {
        "format": FORMAT,
        **facts,
        "window_samples": detector.samples(detector.window_seconds),
        "step_samples": detector.samples(detector.step_seconds),
        "judged_samples": NEARLY * detector.samples(detector.window_seconds),
        "sound": {
            "bucket_seconds": defects.BUCKET_SECONDS,
            "full_scale": defects.FULL_SCALE,
            "silence_decibels": defects.SILENCE_DECIBELS,
            "clipped_share": defects.CLIPPED_SHARE,
            "dropout_seconds": defects.DROPOUT_SECONDS,
        },
        "shortest_samples": max(
            least_samples(part.front_end.features, part.model.frame_context) for part in detector.parts
        ),
        "members": [
            {
                **fact,
                "steps": member.steps,
                "weight": float(weight),
                "mean": part.mean,
                "sd": part.sd,
                "ids": list(part.model.ids) if part.model.reads_id else None,
            }
            for part, fact, member, weight in zip(
                detector.parts, facts["members"], members, detector.scorer.weights, strict=True
            )
        ],
        "parity": {
            "tolerance": TOLERANCE,
            "differences": {member.name: member.difference for member in members},
        },
        "versions": {
            "auscult": __version__,
            "python": platform.python_version(),
            **{name: version(name) for name in ("torch", "numpy", *PACKAGES)},
        },
    }


def _plain(name: str) -> str:
    """A name of which file systems and shells think nothing."""
    return re.sub(r"[^A-Za-z0-9_-]+", "_", name)[:60]
