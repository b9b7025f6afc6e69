"""From a finished run to a detector: the members of one of its systems, as they were trained."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from auscult import __version__
from auscult.detector import Detector, Machine
from auscult.detector.learn.recordings import find_recordings
from auscult.errors import DetectorError, RunError, nearest
from auscult.features.front_end import FrontEnd
from auscult.members.ensembles import nodes_of
from auscult.members.entries import FrontEndEntry
from auscult.members.part import Part
from auscult.members.rebuilding import front_end_of
from auscult.models import load_model
from auscult.recipe import Recipe, load_recipe
from auscult.runs.parts import RunPart, read_part
from auscult.runs.results import read_results, read_scores_of
from auscult.runs.store import content_hash
from auscult.scores.ensemble import PROTOCOLS, Choice, Scores
from auscult.scores.ensemble.columns import PARTS
from auscult.scores.ensemble.scales import Scale, fusion_of, member_scales
from auscult.scores.fusion import Curve
from auscult.scores.pooling import REDEFINED, name_today
from auscult.scores.table import ScoreTable


@dataclass(frozen=True, slots=True)
class Packed:
    """A detector from a run.

    Attributes:
        detector: without thresholds; its provenance names the system, and the protocol by which members were combined.
        warnings: what its user must know, a sentence each.
        heard: SHA-256 of every clip that its models were trained on.
    """

    detector: Detector
    warnings: list[str]
    heard: frozenset[str]

    def require_unheard(self, normals: Path) -> None:
        """Refuse to calibrate on clips that the models were trained on; copies under other names are found as well.

        Args:
            normals: a recording, or a folder of such.

        Raises:
            DetectorError: if there are such recordings.
            AudioError, DatasetError: if there is none, or one cannot be read.
        """
        found = find_recordings(normals, machine="any")["any"]
        heard = [recording.path for recording in found if content_hash(recording.path) in self.heard]
        if heard:
            raise DetectorError(
                f"the run trained on {len(heard)} of the {len(found)} recordings in {normals}, such as {heard[0]}: on "
                "these its scores are too low, and so would the threshold be. Give others to --calibrate"
            )


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
    system, recipe = system or read_results(run).headline[0], _recipe_of(run)
    kind = _machine_type(run, machine_type)
    members = _members(run, kind, recipe)
    scales, choices = _scales(run, kind, recipe, members, system=system, protocol=protocol)
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
    parts = _parts(run, kind, members, scales, store=store or run / "store", weights=weights)
    ids = sorted({id_ for member in members.values() for id_ in member.part.ids})
    machines = {id_: Machine(id_, id_) for id_ in ids}
    windows, fusion = (window_seconds, step_seconds), fusion_of(nodes_of(recipe), system)
    detector = Detector(parts, machines, *windows, provenance=provenance, licence=licence, fusion=fusion)
    heard = frozenset(clip for name in scales for clip in members[name].heard)
    return Packed(detector, _warnings(recipe, protocol, choices), heard)


def _scales(
    run: Path, machine_type: str, recipe: Recipe, members: Mapping[str, RunPart], *, system: str, protocol: str
) -> tuple[dict[str, Scale], list[Choice]]:
    """The members that a system is made of, with their scales, and what the protocol chose."""
    nodes = nodes_of(recipe)
    known = [*members, *(node.name for node in nodes)]
    if system not in known:
        raise DetectorError(
            f"{run} has no system {system!r} for {machine_type}{nearest(system, known)}; it has {', '.join(known)}"
        )
    leaves = {name: _scores_of(run, name, machine_type, part.part.curve) for name, part in members.items()}
    made = read_results(run).choices if protocol != "uniform" else []
    given = [
        item.choice
        for item in made
        if (item.choice.machine_type, item.choice.protocol, item.choice.held_out) == (machine_type, protocol, None)
        and item.seed == made[0].seed
    ]
    return member_scales(nodes, leaves, protocol, system=system, given=given)


def _warnings(recipe: Recipe, protocol: str, choices: list[Choice]) -> list[str]:
    found = [
        "The detector has no thresholds, and its decisions are unknown: scores of clips that members were trained on "
        "say nothing about false alarms. Calibrate it on recordings that the run did not train on (--calibrate)."
    ]
    if protocol == "paper" or (protocol != "none" and any(choice.reached is not None for choice in choices)):
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


def _members(run: Path, machine_type: str, recipe: Recipe) -> dict[str, RunPart]:
    """What the run says of each member that it trained for a machine type, in the recipe's order."""
    folder = run / "weights" / machine_type
    there = {path.stem for path in folder.glob("*.safetensors")}
    names = [member.name for member in recipe.members_of(machine_type) if member.name in there]
    if not names:
        raise RunError(
            f"{run} holds no trained member for {machine_type}; the same `auscult run` command trains it again"
        )
    return {name: read_part(run, machine_type, name) for name in names}


def _scores_of(run: Path, member: str, machine_type: str, curve: Curve) -> Scores:
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
    return Scores(tables["train"], tables["development"], tables["evaluation"], curve)


def _parts(
    run: Path,
    machine_type: str,
    members: Mapping[str, RunPart],
    scales: Mapping[str, Scale],
    *,
    store: Path,
    weights: Path | None,
) -> list[Part]:
    """The members of a system; those whose frames are the same share a front end."""
    front_ends: dict[str, FrontEnd] = {}
    parts = []
    for name, scale in scales.items():
        entry, part = members[name].front_end, members[name].part
        said = entry.model_dump_json()
        if said not in front_ends:
            front_ends[said] = _front_end(name, entry, store=store, weights=weights)
        model = load_model(run / "weights" / machine_type / part.tensors)
        if part.pooling in REDEFINED:
            raise RunError(
                f"{run}: {name} was pooled by an older definition of {part.pooling!r}; the same `auscult run` command "
                "scores it anew"
            )
        scaled = (scale.mean, scale.sd, scale.weight, scale.curve)
        parts.append(Part(name, part.family, front_ends[said], model, name_today(part.pooling), *scaled))
    return parts


def _front_end(member: str, entry: FrontEndEntry, *, store: Path, weights: Path | None) -> FrontEnd:
    blobs = {}
    if entry.denoiser is not None:
        try:
            blobs[entry.denoiser.tensors] = (store / entry.denoiser.tensors).read_bytes()
        except OSError as error:
            raise RunError(
                f"member {member!r} has a denoiser, and {store} does not hold the one that it was trained with; give "
                "the run's store with --store"
            ) from error
    return front_end_of(entry, blobs, device="cpu", weights=weights)
