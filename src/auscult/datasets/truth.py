"""Ground-truth lists of every year: what the evaluation clips are."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path

from auscult.clips import LABELS, Label
from auscult.datasets.names import EVALUATION_FOLDER, Attributes, parse_name, stem_of
from auscult.datasets.years import YEARS
from auscult.errors import DatasetError

TRUTH_FILE = "eval_data_list.csv"
"""The ground-truth list, which is read by itself where it lies beside the data; or with the year in its name."""

_TRUTH_LABELS: dict[str, Label] = {"0": "normal", "1": "anomaly"}
_NAMES = (TRUTH_FILE, *(f"eval_data_list_{year}.csv" for year in YEARS))


@dataclass(frozen=True, slots=True)
class Listed:
    """What a list says of a clip."""

    label: Label
    domain: str | None = None
    attributes: Attributes = ()


@dataclass(frozen=True, slots=True)
class TruthList:
    """A ground-truth list.

    Attributes:
        path: the file.
        clips: machine type -> file name -> what it is.
        years: the years whose list it may be; none if its machines are those of no challenge.
    """

    path: Path
    clips: Mapping[str, Mapping[str, Listed]]
    years: frozenset[int]

    def require_year(self, years: Iterable[int], root: Path) -> None:
        """Check that a list may be of these years.

        Raises:
            DatasetError: if it is of another.
        """
        years = frozenset(years)
        if self.years and years and not self.years & years:
            mine, theirs = (" or ".join(map(str, sorted(some))) for some in (self.years, years))
            raise DatasetError(
                f"{self.path} is the list of DCASE {mine}, and {root} holds clips of DCASE {theirs}; "
                "give the list of that year"
            )


def find_truth(root: Path, years: Iterable[int] = ()) -> Path | None:
    """The ground-truth list in the folder of the data set or in its `eval_data`; of several, that of a year.

    Raises:
        DatasetError: if there are several, and one cannot be read.
    """
    folders = [root, root / EVALUATION_FOLDER]
    resolved = root.resolve()
    for folder in (resolved, resolved.parent):  # `root` may be `eval_data` or one machine type in it
        if folder.name == EVALUATION_FOLDER:
            folders += [folder, folder.parent]
    paths = [path for folder in folders for path in (folder / name for name in _NAMES) if path.is_file()]
    if len(paths) > 1 and (wanted := frozenset(years)):
        paths.sort(key=lambda path: not read_list(path).years & wanted)
    return paths[0] if paths else None


def read_list(path: Path) -> TruthList:
    """Read a ground-truth list: a line with a machine type, then lines `file,original name[,label]`.

    The original name says label, domain and attributes; 2020's lists say the label by itself, 0 or 1. File names come
    out with their suffix.

    Raises:
        DatasetError: if the list cannot be read, a line is neither of the two, a file is listed twice, or the list is
            the one of 2022 whose labels are wrong.
    """
    try:
        lines = path.read_text(encoding="utf-8-sig").splitlines()
    except (OSError, UnicodeDecodeError) as error:
        raise DatasetError(f"cannot read the ground-truth list {path}: {error}") from error
    clips: dict[str, dict[str, Listed]] = {}
    files: dict[str, Listed] | None = None
    for number, line in enumerate(lines, start=1):
        fields = [field.strip() for field in line.split(",")]
        if fields == [""]:
            continue
        if len(fields) == 1:
            files = clips.setdefault(fields[0], {})
            continue
        file, listed = f"{stem_of(fields[0])}.wav", _listed(fields)
        if files is None or listed is None:
            expected = "a line with the machine type, then lines of `file,original name`, in 2020 with a label 0 or 1"
            raise DatasetError(f"{path}, line {number}: found {line!r}; a ground-truth list has {expected}")
        if file in files:
            raise DatasetError(f"{path}, line {number}: {fields[0]} is listed twice; keep one of the two lines")
        files[file] = listed
    if not any(clips.values()):
        raise DatasetError(f"{path} lists no files; give the challenge's ground-truth list, {TRUTH_FILE}")
    _require_right(path, clips)
    return TruthList(path, clips, _years(clips))


def digests(clips: Mapping[str, Mapping[str, Listed]]) -> tuple[str, str]:
    """SHA-256 of the file names of a list, and of the names with domains and labels, whatever the order of lines."""
    rows = sorted(
        (kind, file, one.domain or "", one.label) for kind, files in clips.items() for file, one in files.items()
    )
    texts = ("\n".join("/".join(row[:length]) for row in rows) for length in (2, 4))
    names, labels = (sha256(text.encode()).hexdigest() for text in texts)
    return names, labels


def _listed(fields: list[str]) -> Listed | None:
    if len(fields) == 3 and fields[2] in _TRUTH_LABELS:
        return Listed(_TRUTH_LABELS[fields[2]])
    if len(fields) != 2:
        return None
    if (named := parse_name(stem_of(fields[1]))) is not None:
        return Listed(named.label, named.domain, named.attributes) if named.label else None
    label = next((label for label in LABELS if fields[1].startswith(f"{label}_id_")), None)
    return Listed(label) if label else None


def _years(clips: Mapping[str, Mapping[str, Listed]]) -> frozenset[int]:
    """The years that have these machines in their evaluation, with such names."""
    found = set()
    for year, facts in YEARS.items():
        ids = {
            kind: {file[: len(facts.evaluation[kind][0])] for file in files}
            for kind, files in clips.items()
            if kind in facts.evaluation
        }
        named = {
            (f"_{word}_test_" in file) for files in clips.values() for file in files for word in ("source", "target")
        }
        fits = len(ids) == len(clips) and all(some <= set(facts.evaluation[kind]) for kind, some in ids.items())
        if fits and (True in named) == facts.hidden_domain:
            found.add(year)
    return frozenset(found)


def _require_right(path: Path, clips: Mapping[str, Mapping[str, Listed]]) -> None:
    names, labels = digests(clips)
    for year, facts in YEARS.items():
        if facts.truth is not None and facts.truth[0] == names and facts.truth[1] != labels:
            raise DatasetError(
                f"{path} is the list of DCASE {year} with wrong labels; the copy that most repositories have is wrong "
                "in 608 of 4,200, of ToyCar and ToyTrain. Take the list of the official evaluator"
            )
