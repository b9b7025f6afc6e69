"""DCASE Task 2, a table of facts for each year: machines, names, records. A year that comes is one entry more.

Read off the challenge's pages, records and published baselines; what the published files have not shown is left open.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from auscult.clips import MACHINE_TYPES, Label, Split

Machines = Mapping[str, tuple[str, ...]]
"""Machine type -> ids of its machines."""

NO_ATTRIBUTE = "noAttribute"
"""Last field of a name where the attributes are kept secret, in 2024 and 2025."""


@dataclass(frozen=True, slots=True)
class Year:
    """What is known of a year.

    Attributes:
        year: for instance 2023.
        development: machines of the development set.
        evaluation: machines of the additional training data and of the evaluation test.
        records: numbers of the Zenodo records: development, additional training data, evaluation test.
        train_clips: to train, per machine: of the source and of the target domain.
        scoring: the year whose official score holds: 2020, 2021 or 2022.
        test_folders: folders of test clips.
        hidden_domain: whether the names of evaluation tests say their domain.
        no_attribute: what stands in place of attributes that are kept secret: `"noAttribute"`, or an empty last field;
            `None` where all names have attributes.
        without_attributes: development machine types whose attributes are secret; `None` where that is not known.
        attributes_in_tests: whether the names of labelled tests have attributes too.
        supplemental: whether clean machine sound and noise lie beside `train` and `test`.
        channels: of the recordings. Of two, 0 is near the machine and 1 far from it.
        truth: SHA-256 of the file names and of the labels of the right ground-truth list, where wrong ones circulate.
    """

    year: int
    development: Machines
    evaluation: Machines
    records: tuple[str, str, str]
    train_clips: tuple[int, int] = (990, 10)
    scoring: int = 2022
    test_folders: tuple[str, ...] = ("test",)
    hidden_domain: bool = False
    no_attribute: str | None = None
    without_attributes: tuple[str, ...] | None = ()
    attributes_in_tests: bool = True
    supplemental: bool = False
    channels: int = 1
    truth: tuple[str, str] | None = None

    @property
    def machine_types(self) -> tuple[str, ...]:
        """All machine types, those of development first."""
        return tuple(dict.fromkeys((*self.development, *self.evaluation)))

    @property
    def sections(self) -> frozenset[str]:
        """All ids of machines."""
        return frozenset(
            id_ for machines in (self.development, self.evaluation) for ids in machines.values() for id_ in ids
        )

    def file(
        self,
        machine_id: str,
        number: int,
        *,
        split: Split,
        label: Label | None,
        domain: str | None,
        attributes: Sequence[tuple[str, str]] = (),
    ) -> str:
        """The name of a clip, as the challenge has it; without a label, of an evaluation test."""
        if self.year == 2020:
            return "_".join((*([label] if label else []), machine_id, f"{number:08d}")) + ".wav"
        if label is None:
            told = [domain or "source", "test"] if self.hidden_domain else []
            return "_".join((machine_id, *told, f"{number:04d}")) + ".wav"
        fields = [machine_id, domain or "source", split, label, f"{number:04d}"]
        if split == "test" and not self.attributes_in_tests:
            pass
        elif attributes:
            fields += [field for pair in attributes for field in pair]
        elif self.no_attribute is not None:
            fields.append(self.no_attribute)
        return "_".join(fields) + ".wav"

    def test_folder(self, domain: str | None) -> str:
        """The folder of a test clip."""
        return next((name for name in self.test_folders if name.startswith(domain or "")), self.test_folders[-1])


def _each(names: str, *sections: int) -> Machines:
    return dict.fromkeys(names.split(), tuple(f"section_{number:02d}" for number in sections))


def _ids(car: range, conveyor: range, others: range) -> Machines:
    numbers = {"ToyCar": car, "ToyConveyor": conveyor}
    return {kind: tuple(f"id_{n:02d}" for n in numbers.get(kind, others)) for kind in MACHINE_TYPES}


_SEVEN = "ToyCar ToyTrain bearing fan gearbox slider valve"

YEARS: dict[int, Year] = {
    facts.year: facts
    for facts in (
        Year(
            2020,
            _ids(range(1, 5), range(1, 4), range(0, 8, 2)),
            _ids(range(5, 8), range(4, 7), range(1, 7, 2)),
            ("3678171", "3727685", "3841772"),
            train_clips=(1000, 0),
            scoring=2020,
        ),
        Year(
            2021,
            _each("ToyCar ToyTrain fan gearbox pump slider valve", 0, 1, 2),
            _each("ToyCar ToyTrain fan gearbox pump slider valve", 3, 4, 5),
            ("4562016", "4660992", "4884786"),
            train_clips=(1000, 3),
            scoring=2021,
            test_folders=("source_test", "target_test"),
            hidden_domain=True,
            attributes_in_tests=False,
        ),
        Year(
            2022,
            _each(_SEVEN, 0, 1, 2),
            _each(_SEVEN, 3, 4, 5),
            ("6355122", "6462969", "6586456"),
            truth=(
                "b14484142b2a9271768714ea7b8fa60d196c5414e94316e52854c8821d1498ca",
                "e4f4fa74a85a9e8247953d2d29cf3594739deb86d06b7da81e0d49e992f576a5",
            ),
        ),
        Year(
            2023,
            _each(_SEVEN, 0),
            _each("bandsaw grinder shaker ToyDrone ToyNscale ToyTank Vacuum", 0),
            ("7882613", "7830345", "7860847"),
        ),
        Year(
            2024,
            _each(_SEVEN, 0),
            _each(
                "3DPrinter AirCompressor BrushlessMotor HairDryer HoveringDrone RoboticArm Scanner ToothBrush "
                "ToyCircuit",
                0,
            ),
            ("10902294", "11259435", "11363076"),
            no_attribute=NO_ATTRIBUTE,
            without_attributes=None,
        ),
        Year(
            2025,
            _each(_SEVEN, 0),
            _each("AutoTrash BandSealer CoffeeGrinder HomeCamera Polisher ScrewFeeder ToyPet ToyRCCar", 0),
            ("15097779", "15392814", "15519362"),
            no_attribute=NO_ATTRIBUTE,
            without_attributes=("ToyTrain", "bearing", "slider"),
            supplemental=True,
        ),
        Year(
            2026,
            _each("ToyCar ToyCarEmu bearingEmu fan gearboxEmu sliderEmu valveEmu", 0),
            _each("BlowerDustCollector Sander SewingMachine ToothBrush ToyDrone", 0),
            ("19336329", "20151556", "20437238"),
            no_attribute="",
            without_attributes=None,
            supplemental=True,
            channels=2,
        ),
    )
}
"""All years of the challenge."""
