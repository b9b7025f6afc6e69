"""Names of clips since 2021, their attributes, and the tables `attributes_00.csv` beside them."""

import csv
import re
from dataclasses import dataclass
from pathlib import Path, PurePath

from auscult.clips import LABELS, Label, Split, Subset
from auscult.datasets.tree import SoundFile
from auscult.datasets.years import NO_ATTRIBUTE
from auscult.errors import DatasetError
from auscult.sound.audio import SUFFIXES

Attributes = tuple[tuple[str, str], ...]

DEVELOPMENT_FOLDER, EVALUATION_FOLDER = "dev_data", "eval_data"
TEST_FOLDERS = ("test", "source_test", "target_test")

_NAME = re.compile(
    r"(?P<id>section_\d\d)(?:_(?P<domain>source|target))?(?:_(?P<split>train|test))?(?:_(?P<label>normal|anomaly))?"
    r"_(?P<number>\d{4,})(?:_(?P<rest>.*))?"
)
_WITH_VALUE = re.compile(r"[A-Za-z]{2,}\d+")
_NAME_VALUE = re.compile(r"([A-Za-z]+?)(\d+|[A-Z])?")


@dataclass(frozen=True, slots=True)
class Named:
    """What a name says; `None` where it says nothing, and `rest` is all behind the number."""

    machine_id: str
    domain: str | None
    split: str | None
    label: Label | None
    rest: str | None

    @property
    def attributes(self) -> Attributes:
        """Names and values of the attributes."""
        return pairs(self.rest or "")


@dataclass(frozen=True, slots=True)
class Found:
    """A file with what its folders and name say.

    Attributes:
        file: the file.
        home: the folder of its machine type.
        machine_type: the name of that folder.
        folder: `train`, `test`, `source_test`, `target_test` or `supplemental`.
        named: what its name says; `None` for supplemental clips of other names.
        below: names of the folders below `folder`, and the stem, in lower case.
    """

    file: SoundFile
    home: Path
    machine_type: str
    folder: str
    named: Named | None
    below: tuple[str, ...]

    @property
    def split(self) -> Split:
        """Training or test, by the folder."""
        return "test" if self.folder in TEST_FOLDERS else "train"

    @property
    def machine_id(self) -> str:
        """The section."""
        return self.named.machine_id if self.named else "section_00"

    @property
    def subset(self) -> Subset | None:
        """The part of the challenge, by the folders above; the data folder's own name and those above it count."""
        above = self.file.folders[-self.file.depth - 3 :]
        home = next((name for name in above[::-1] if name in (DEVELOPMENT_FOLDER, EVALUATION_FOLDER)), None)
        if home == EVALUATION_FOLDER:
            return "additional" if self.split == "train" else "evaluation"
        return "development" if home else None


def parse_name(stem: str) -> Named | None:
    """Read the name of a clip, without its suffix; `None` if it is no name of the challenge since 2021.

    >>> parse_name("section_00_source_train_normal_0000_car_A2_spd_28V").attributes
    (('car', 'A2'), ('spd', '28V'))
    """
    if (match := _NAME.fullmatch(stem)) is None:
        return None
    label = next((label for label in LABELS if label == match["label"]), None)
    return Named(match["id"], match["domain"], match["split"], label, match["rest"])


def pairs(text: str) -> Attributes:
    """Attributes of a name's last fields: names and values in turn, joined by `_`, or names that end in their values.

    A field that is left over is a value without a name.

    >>> pairs("spd_28V_mic_pos_A"), pairs("spd1000_BckgC")
    ((('spd', '28V'), ('mic_pos', 'A')), (('spd', '1000'), ('Bckg', 'C')))
    """
    if text in ("", NO_ATTRIBUTE):
        return ()
    fields = text.replace("mic_pos_", "mic-pos_").split("_")
    if _WITH_VALUE.fullmatch(fields[0]):
        found = [match.groups("") if (match := _NAME_VALUE.fullmatch(field)) else ("", field) for field in fields]
        return tuple((name, value) for name, value in found)
    if len(fields) % 2:
        fields.insert(-1, "")
    return tuple(
        (name.replace("mic-pos", "mic_pos"), value) for name, value in zip(fields[::2], fields[1::2], strict=True)
    )


def read_attributes(path: Path) -> dict[str, Attributes]:
    """Read a table `attributes_00.csv`: `file_name,d1p,d1v,...`, where file names may be paths and lack their suffix.

    Returns:
        Stem of the file -> its attributes; nothing if the table has no columns of attributes.

    Raises:
        DatasetError: if the table cannot be read, or a line has another number of fields than the header.
    """
    try:
        with path.open(newline="", encoding="utf-8-sig") as file:
            header, *rows = [[field.strip() for field in row] for row in csv.reader(file) if any(row)] or [[]]
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        raise DatasetError(f"cannot read the attributes {path}: {error}; restore or remove the file") from error
    if header[:1] != ["file_name"]:
        raise DatasetError(f"{path} has the header {','.join(header)!r}; it must be file_name,d1p,d1v,...")
    found: dict[str, Attributes] = {}
    for number, row in enumerate(rows, start=2):
        if len(row) > len(header) or (len(row) % 2 == 0 and row[-1] not in ("", NO_ATTRIBUTE)):
            raise DatasetError(
                f"{path}, line {number}: has {len(row)} fields; a line is file_name,d1p,d1v,... as the header"
            )
        told = zip(row[1::2], row[2::2], strict=False)  # a last name without value is `noAttribute`
        found[stem_of(row[0])] = tuple((name, value) for name, value in told if name not in ("", NO_ATTRIBUTE))
    return found if len(header) > 1 else {}


def stem_of(file: str) -> str:
    """Name of a clip without folders and without the suffix of a sound file; other points belong to values."""
    path = PurePath(file)
    return path.stem if path.suffix.lower() in SUFFIXES else path.name
