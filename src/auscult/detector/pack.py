"""From a finished run to a detector: the members of one of its systems, as they were trained."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from auscult import __version__
from auscult.denoising.streaming import Denoiser
from auscult.detector import Detector, Machine
from auscult.detector.learn.recordings import find_recordings
from auscult.errors import DetectorError, RunError, nearest
from auscult.features.front_end import FrontEnd
from auscult.features.heard import key_of
from auscult.members.ensembles import nodes_of
from auscult.members.making import make_features
from auscult.members.part import Part
from auscult.models import load_model
from auscult.recipe import Member, Recipe, load_recipe
from auscult.runs.results import read_results, read_scores_of
from auscult.runs.store import content_hash
from auscult.scores.ensemble import PROTOCOLS, Choice, Scores
from auscult.scores.ensemble.columns import PARTS
from auscult.scores.ensemble.scales import member_scales
from auscult.scores.table import ScoreTable


@dataclass(frozen=True, slots=True)
class Packed:
    """A detector from a run.

    Attributes:
        detector: without thresholds.
        system: of the run.
        protocol: by which its members were combined; `"none"` for a single member.
        choices: the members and weights that count.
        warnings: what its user must know, a sentence each.
        heard: SHA-256 of every clip that its models were trained on; none if the run's store does not say.
    """

    detector: Detector
    system: str
    protocol: str
    choices: list[Choice]
    warnings: list[str]
    heard: frozenset[str] | None

    def require_unheard(self, normals: Path) -> list[str]:
        """Refuse to calibrate on clips that the models were trained on; copies under other names are found as well.

        Args:
            normals: a recording, or a folder of such.

        Returns:
            A sentence if it cannot be checked.

        Raises:
            DetectorError: if there are such recordings.
            AudioError, DatasetError: if there is none, or one cannot be read.
        """
        if self.heard is None:
            return [
                "Whether the run trained on the recordings of --calibrate was not checked, because its store is not "
                "there (--store). If it did, the threshold is too low."
            ]
        found = find_recordings(normals, machine="any")["any"]
        heard = [recording.path for recording in found if content_hash(recording.path) in self.heard]
        if heard:
            raise DetectorError(
                f"the run trained on {len(heard)} of the {len(found)} recordings in {normals}, such as {heard[0]}: on "
                "these its scores are too low, and so would the threshold be. Give others to --calibrate"
            )
        return []


def pack(
    run: Path,
    *,
    machine_type: str | None = None,
    system: str | None = None,
    protocol: str = "uniform",
    window_seconds: float = 10.0,
    step_seconds: float = 1.0,
    store: Path | None = None,
    weights: Path | None = None,
    licence: str = "",
) -> Packed:
    """Make a detector of a system of a run.

    It has no thresholds: scores of clips that the members were trained on say nothing about the rate of false alarms.

    Args:
        run: folder of a finished run.
        machine_type: whose members; needed where the run has several.
        system: a member or an ensemble; the run's result if none is given.
        protocol: by which the members are combined. *uniform* saw no label; *leave-one-id-out* and *paper* choose on
            all labels of the development test clips.
        window_seconds: length of the windows that the detector scores; best as long as the clips of the run.
        step_seconds: from one window to the next.
        store: of the run's denoisers; the one in the run folder if none is given.
        weights: folder of published weights, for features that need them.
        licence: of the training data, kept in the detector.

    Raises:
        AuscultError: if the run, the machine type, the system or the protocol is not there, or a file is damaged.
    """
    if protocol not in PROTOCOLS:
        raise DetectorError(
            f"the protocol {protocol!r} is unknown{nearest(protocol, PROTOCOLS)}; it can be {', '.join(PROTOCOLS)}"
        )
    results, recipe = read_results(run), _recipe_of(run)
    kind = _machine_type(run, machine_type)
    members = {member.name: member for member in recipe.members_of(kind) if _weights_file(run, kind, member).is_file()}
    if not members:
        raise RunError(f"{run} holds no trained member for {kind}; the same `auscult run` command trains it again")
    nodes = nodes_of(recipe)
    known = [*members, *(node.name for node in nodes)]
    system = system or results.headline[0]
    if system not in known:
        raise DetectorError(
            f"{run} has no system {system!r} for {kind}{nearest(system, known)}; it has {', '.join(known)}"
        )
    leaves = {name: _scores_of(run, name, kind) for name in members}
    scales, choices = member_scales(nodes, leaves, protocol, system=system)
    front_ends: dict[Any, FrontEnd] = {}
    parts = []
    for name, scale in scales.items():
        member = members[name]
        front_end = _front_end(run, kind, member, recipe, store=store or run / "store", weights=weights)
        front_end = front_ends.setdefault(key_of(front_end), front_end)
        model = load_model(_weights_file(run, kind, member))
        parts.append(Part(name, member.family, front_end, model, member.pooling, scale.mean, scale.sd, scale.weight))
    ids = sorted({row.machine_id for scores in leaves.values() for row in scores.train})
    machines = {id_: Machine(id_, id_) for id_ in ids}
    protocol = "none" if system in members else protocol
    provenance = {
        "made_by": "auscult pack",
        "auscult": __version__,
        "run": run.resolve().name,
        "machine_type": kind,
        "system": system,
        "protocol": protocol,
        "recipe": recipe.model_dump(mode="json", exclude_none=True),
    }
    detector = Detector(parts, machines, window_seconds, step_seconds, provenance=provenance, licence=licence)
    heard = _heard(run, kind, [members[name] for name in scales], store or run / "store")
    return Packed(detector, system, protocol, choices, _warnings(recipe, protocol, choices), heard)


def _warnings(recipe: Recipe, protocol: str, choices: list[Choice]) -> list[str]:
    found = [
        "The detector has no thresholds, and its decisions are unknown: scores of clips that members were trained on "
        "say nothing about false alarms. Calibrate it on recordings that the run did not train on (--calibrate)."
    ]
    if protocol == "paper" or (protocol != "none" and any(choice.mauc is not None for choice in choices)):
        found.append(
            f"Under the protocol {protocol}, members or weights were chosen on labels of the run's test clips."
        )
    if recipe.chosen_on:
        found.append(recipe.chosen_on)
    return found


def _recipe_of(run: Path) -> Recipe:
    path = run / "recipe.toml"
    if not path.is_file():
        raise RunError(f"{run} holds no recipe.toml, so it is no run; give the folder that `auscult run` wrote")
    return load_recipe(str(path))


def _machine_type(run: Path, given: str | None) -> str:
    there = sorted(path.name for path in (run / "weights").glob("*") if path.is_dir())
    if given is None and len(there) == 1:
        return there[0]
    if given not in there:
        which = "say which machine type is meant with --machine-type" if given is None else f"it has no {given!r}"
        near = nearest(given, there) if given else ""
        raise DetectorError(f"{run} has members for {', '.join(there) or 'no machine type'}; {which}{near}")
    return given


def _weights_file(run: Path, machine_type: str, member: Member) -> Path:
    return run / "weights" / machine_type / f"{member.name}.safetensors"


def _scores_of(run: Path, member: str, machine_type: str) -> Scores:
    """The score tables of a member; a part that has no file has no clip."""
    tables = {}
    for part in PARTS:
        try:
            tables[part] = read_scores_of(run, member, part=part, machine_type=machine_type)
        except RunError:
            tables[part] = ScoreTable(())
    if not len(tables["train"]):
        raise RunError(
            f"{run} has no training scores of {member} for {machine_type}; the same `auscult run` command writes them"
        )
    return Scores(tables["train"], tables["development"], tables["evaluation"])


def _front_end(
    run: Path, machine_type: str, member: Member, recipe: Recipe, *, store: Path, weights: Path | None
) -> FrontEnd:
    features = make_features(
        member.features, sample_rate=recipe.sample_rate, weights=weights, where=f"member {member.name!r}"
    )
    denoiser = None
    if member.level:
        folder, level = _denoiser_of(run, machine_type, member, store)
        denoiser = Denoiser.load(folder, level)
    return FrontEnd(features, channel=recipe.channel, denoiser=denoiser)


def _denoiser_of(run: Path, machine_type: str, member: Member, store: Path) -> tuple[Path, int]:
    """Folder and level of the denoiser with which a member was trained: found by the member's own weights."""
    banks = _banks_of(run, machine_type, member, store)
    if not banks:
        raise RunError(
            f"member {member.name!r} has a denoiser, and {store} does not hold the one that it was trained with; give "
            "the run's store with --store"
        )
    key, level = banks[0]["denoiser"]
    return store / "denoiser" / str(key), int(level)


def _heard(run: Path, machine_type: str, members: Sequence[Member], store: Path) -> frozenset[str] | None:
    """SHA-256 of every clip that members were trained on; none if the store does not say so of each of them."""
    banks = [_banks_of(run, machine_type, member, store) for member in members]
    if not all(banks):
        return None
    return frozenset(str(content) for found in banks for bank in found for content, _ in bank.get("clips", ()))


def _banks_of(run: Path, machine_type: str, member: Member, store: Path) -> list[Mapping[str, Any]]:
    """Facts of the banks that a member was trained on, found by its weights; none if the store does not hold it."""
    content = _weights_file(run, machine_type, member).read_bytes()
    for path in sorted((store / "model").glob("*/model.safetensors")):
        if path.stat().st_size == len(content) and path.read_bytes() == content:
            facts = _facts(path.parent)
            if facts.get("member") == f"{machine_type} {member.name}":
                return [_facts(store / "bank" / str(key)) for key in facts["banks"]]
    return []


def _facts(folder: Path) -> Mapping[str, Any]:
    try:
        return dict(json.loads((folder / "facts.json").read_text(encoding="utf-8")))
    except (OSError, ValueError, TypeError) as error:
        raise RunError(
            f"the artefact {folder} is damaged ({error}); the same `auscult run` command mends it"
        ) from error
