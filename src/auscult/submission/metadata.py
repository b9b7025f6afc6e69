"""The metadata file of a submission to DCASE Task 2: what the run knows, and what its author fills in.

The field names are those of the challenge's template, as published submissions have them. What a run cannot know
(authors, affiliations, external data sets) is `PLACEHOLDER`, never a guess; what does not apply is `!!null`.
"""

import json
import re
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any

from auscult.errors import ScoreError
from auscult.recipe import Member
from auscult.scores.metrics import sort_machine_types
from auscult.submission.run_folder import PLAIN, FinishedRun, ModelFile, SubmittedSystem, members_of, read_model_head

METADATA_SUFFIX = ".meta.yaml"
PLACEHOLDER = "FILL IN"
PLACEHOLDER_LABEL = "Lastname_Institution_task2_1"
LONGEST_ABBREVIATION = 10

DENOISER_PARAMETERS = 2_622_402
OPENL3_PARAMETERS = 4_687_042

_LABEL = re.compile(r"[^\W_][\w.-]*_[^\W_][\w.-]*_task2_[1-4]")
_METHODS = {
    "autoencoder": "AE",
    "mahalanobis": "AE, Mahalanobis",
    "spectral": "Gaussian",
    "hvae": "VAE",
    "idcae": "ID-conditioned AE",
    "freak": "WaveNet",
}
_ENCODERS = {"openl3": "OpenL3", "yamnet": "YAMNet", "onnx": "an encoder in ONNX"}
_AGGREGATIONS = {"mean": "average", "winmed": "average of medians", "meancap": "capped average"}
_OTHER_TEMPLATE = (
    "# The fields are those of the template of 2020; that of this year may ask for others: compare the two."
)
_COMMENTS = {
    "label": "last name of the corresponding author, institution, task2, number of the submission (1 to 4)",
    "abbreviation": f"at most {LONGEST_ABBREVIATION} characters",
    "description": "!!null where a field does not apply",
    "external_datasets": "everything but the challenge's own data",
    "source_code": "URL, if the code is public",
}


@dataclass(frozen=True, slots=True)
class Author:
    """An author; what is not given is left to be filled in."""

    lastname: str = PLACEHOLDER
    firstname: str = PLACEHOLDER
    email: str = PLACEHOLDER
    institution: str = PLACEHOLDER
    location: str = PLACEHOLDER


@dataclass(frozen=True, slots=True)
class Identity:
    """How a submission is called and whose it is.

    Attributes:
        label: indexes the submission and names its metadata file.
        name: shown in the challenge's tables; the recipe and system if none is given.
        abbreviation: for narrow tables.
        authors: in order, the corresponding one first.

    Raises:
        ScoreError: if label or abbreviation are not of the challenge's form.
    """

    label: str = PLACEHOLDER_LABEL
    name: str | None = None
    abbreviation: str = PLACEHOLDER
    authors: Sequence[Author] = field(default_factory=lambda: [Author()])

    def __post_init__(self) -> None:
        if not _LABEL.fullmatch(self.label):
            raise ScoreError(
                f"the label is {self.label!r}; it must be <last name>_<institution>_task2_<1 to 4>, "
                f"for instance {PLACEHOLDER_LABEL}"
            )
        if not 0 < len(self.abbreviation) <= LONGEST_ABBREVIATION:
            raise ScoreError(f"the abbreviation {self.abbreviation!r} must have 1 to {LONGEST_ABBREVIATION} characters")


def parse_author(text: str) -> Author:
    """An author from `Lastname; Firstname; email; institution; location`, of which the last ones may be left out.

    Raises:
        ScoreError: if there are more than five parts, or no last name.

    >>> parse_author("Noether; Emmy").lastname
    'Noether'
    """
    parts = [part.strip() for part in text.split(";")]
    if len(parts) > 5 or not parts[0]:
        raise ScoreError(f"the author {text!r} is not of the form 'Lastname; Firstname; email; institution; location'")
    return Author(*(part or PLACEHOLDER for part in parts))


def metadata_text(run: FinishedRun, choice: SubmittedSystem, identity: Identity) -> tuple[str, list[str]]:
    """The text of the metadata file, and sentences on what could not be counted in it.

    Args:
        run: the run.
        choice: the system that is submitted.
        identity: label, names and authors.

    Raises:
        ModelError: if a model's file is damaged.
    """
    members = {kind: members_of(run, choice, kind) for kind in choice.table.groups()}
    models: dict[str, list[tuple[Member, ModelFile]]] = {}
    missing = []
    for machine_type, some in members.items():
        for member in some:
            path = run.folder / "weights" / machine_type / f"{member.name}.safetensors"
            if path.is_file():
                models.setdefault(machine_type, []).append((member, read_model_head(path)))
            else:
                missing.append(f"{member.name} of {machine_type}")
    notes = [f"the run has no weights of {', '.join(missing)}; total_parameters is without them"] if missing else []
    kinds_used = {_features_of(member).get("kind") for some in members.values() for member in some}
    if uncounted := [_ENCODERS[kind] for kind in ("yamnet", "onnx") if kind in kinds_used]:
        notes.append(f"total_parameters is without those of {' and '.join(uncounted)}; add them")
    counts = {machine_type: _parameters(some) for machine_type, some in models.items()}
    kinds = sort_machine_types(counts)
    comments = _COMMENTS | {
        "total_parameters": ", ".join(["of the largest machine type", *(f"{kind} {counts[kind]}" for kind in kinds)]),
        "results": "in percent; the weights were chosen on these labels"
        if choice.protocol == "paper"
        else "in percent",
    }
    tree = {
        "submission": _submission(run, choice, identity),
        "system": {
            "description": _description(run, choice, [pair for some in models.values() for pair in some], members),
            "complexity": {"total_parameters": max(counts.values(), default=None)},
            **_external_datasets(members),
            "source_code": None,
        },
        "results": {"development_dataset": _results(choice)},
    }
    since_2021 = any(row.machine_id.startswith("section_") for row in choice.table)
    return "\n".join([*([_OTHER_TEMPLATE] if since_2021 else []), *_yaml(tree, comments)]) + "\n", notes


def unfilled(text: str) -> list[str]:
    """The fields of a metadata file that still hold a placeholder, in order.

    Raises:
        ScoreError: if it is no YAML; the message is of one line.
    """
    import yaml

    try:
        return list(dict.fromkeys(_placeholders("", yaml.safe_load(text))))
    except yaml.YAMLError as error:
        mark, problem = getattr(error, "problem_mark", None), getattr(error, "problem", None)
        where = "" if mark is None else f" in line {mark.line + 1}"
        raise ScoreError(
            f"is no valid YAML{where} ({problem or 'a sign that YAML does not allow'}); mend it"
        ) from error


def _placeholders(name: str, value: object) -> Iterator[str]:
    """The name of each field below a value that holds a placeholder."""
    if value in (PLACEHOLDER, PLACEHOLDER_LABEL):
        yield name
    elif isinstance(value, dict):
        for key, item in value.items():
            yield from _placeholders(str(key), item)
    elif isinstance(value, list):
        for item in value:
            yield from _placeholders(name, item)


def _submission(run: FinishedRun, choice: SubmittedSystem, identity: Identity) -> dict[str, Any]:
    protocol = "" if choice.protocol == PLAIN else f", {choice.protocol}"
    authors = [
        {
            "lastname": author.lastname,
            "firstname": author.firstname,
            "email": author.email,
            "corresponding": number == 0,
            "affiliation": {"institution": author.institution, "department": None, "location": author.location},
        }
        for number, author in enumerate(identity.authors)
    ]
    return {
        "label": identity.label,
        "name": identity.name or f"{run.recipe.name}: {choice.system}{protocol}",
        "abbreviation": identity.abbreviation,
        "authors": authors,
    }


def _description(
    run: FinishedRun, choice: SubmittedSystem, models: list[tuple[Member, ModelFile]], members: dict[str, list[Member]]
) -> dict[str, Any]:
    entering = [member for some in members.values() for member in some]
    largest = max((len(some) for some in members.values()), default=0)
    combined = largest > 1
    encoders = [name for one in entering if (name := _encoder(one))]
    denoised = any(one.level for one in entering)
    rates = {48000 if _openl3(member) else run.recipe.sample_rate for member in entering}
    methods = [_METHODS.get(member.family, member.family) for member in entering]
    external = ["pre-trained embeddings"] * bool(encoders) + ["clean sounds to train a denoiser"] * denoised
    return {
        "input_sampling_rate": _tags(f"{rate / 1000:g}kHz" for rate in sorted(rates)),
        "data_augmentation": None,
        "front_end": "denoising by a Deep Complex U-Net" if denoised else None,
        "acoustic_features": _tags(_features(member) for member in entering if not _encoder(member)),
        "embeddings": _tags(encoders),
        "machine_learning_method": _tags([*methods, *["ensemble"] * combined]),
        "aggregation_method": _tags(_aggregation(member, model) for member, model in models),
        "ensemble_method_subsystem_count": largest if combined else None,
        "decision_making": ("average" if choice.protocol == "uniform" else "weighted average") if combined else None,
        "external_data_usage": _tags(external),
        "development_data_usage": "development",
    }


def _external_datasets(members: dict[str, list[Member]]) -> dict[str, Any]:
    """Name and URL to fill in, where the system used other data than the challenge's."""
    if any(_encoder(member) or member.level for some in members.values() for member in some):
        return {"external_datasets": [{"name": PLACEHOLDER, "url": PLACEHOLDER}]}
    return {}


def _results(choice: SubmittedSystem) -> dict[str, Any] | None:
    return {
        machine_type: {f"averaged_{name}": 100 * value for name, value in choice.figures[machine_type].items()}
        for machine_type in sort_machine_types(choice.figures)
    } or None


def _parameters(models: list[tuple[Member, ModelFile]]) -> int:
    """All networks that the clips of a machine type pass, each counted once."""
    denoiser = DENOISER_PARAMETERS if any(member.level for member, _ in models) else 0
    embeddings = {json.dumps(member.features, sort_keys=True) for member, _ in models if _openl3(member)}
    return sum(model.parameters for _, model in models) + denoiser + OPENL3_PARAMETERS * len(embeddings)


def _openl3(member: Member) -> bool:
    return _features_of(member).get("kind") == "openl3"


def _features_of(member: Member) -> dict[str, Any]:
    """The table of a member's features, or of those whose statistics it takes."""
    features = member.features
    while features.get("kind") == "statistics":
        features = features["of"]
    return features


def _encoder(member: Member) -> str | None:
    """The trained network that makes a member's features, if one does."""
    return _ENCODERS.get(str(_features_of(member).get("kind")))


def _features(member: Member) -> str:
    if _features_of(member).get("kind") == "modulation":
        return "modulation spectrum"
    scales = {"sqrt": "root of mel energies", "linear": "mel energies"}
    return scales.get(str(_features_of(member).get("scale")), "log-mel energies")


def _aggregation(member: Member, model: ModelFile) -> str:
    """How frames become the score of a clip."""
    if model.family == "spectral":
        return "weighted ranking"
    if model.family == "freak":
        return "percentile" if model.arguments.get("score") == "percentile" else "average"
    pooling = member.pooling or "mean"
    return _AGGREGATIONS.get(pooling, pooling)


def _tags(words: Iterable[str]) -> str | None:
    """Each word once, in order, as the challenge's comma-separated list."""
    return ", ".join(dict.fromkeys(words)) or None


def _yaml(tree: dict[str, Any], comments: dict[str, str], indent: str = "") -> list[str]:
    """The lines of a mapping; strings in double quotes, whose escapes are those of JSON."""
    lines: list[str] = []
    for key, value in tree.items():
        comment = f"  # {comments[key]}" if key in comments else ""
        name = key if re.fullmatch(r"\w+", key) else json.dumps(key)
        if isinstance(value, dict):
            lines += [f"{indent}{name}:{comment}", *_yaml(value, comments, f"{indent}  ")]
        elif isinstance(value, list):
            lines.append(f"{indent}{name}:{comment}")
            for item in value:
                first, *rest = _yaml(item, comments, f"{indent}    ")
                lines += [f"{indent}  - {first.strip()}", *rest]
        else:
            lines.append(f"{indent}{name}: {_scalar(value)}{comment}")
    return lines


def _scalar(value: object) -> str:
    return "!!null" if value is None else json.dumps(value, ensure_ascii=False)
