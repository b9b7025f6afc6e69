"""Options that several commands share."""

from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Literal

from cyclopts import Parameter

Output = Annotated[Path, Parameter(name=["--out", "-o"])]
Types = Annotated[list[str] | None, Parameter(name="--machine-type", negative=())]
LayoutName = Annotated[str | None, Parameter(name=["--layout", "--dataset"], negative=())]
Overrides = Annotated[list[str] | None, Parameter(name="--override", negative=())]


@Parameter(name="*")
@dataclass(frozen=True, kw_only=True)
class RunOptions:
    """What a run is made of.

    Attributes:
        data: Data folder; see `auscult inspect`.
        machine_type: Only this machine type; may be repeated.
        dataset: Layout of the data by its name, for instance dcase2024; detected by default.
        clean: Folder of clean mechanical sounds for recipes with a denoiser; of a machine type with three supplemental
            clips of the machine alone, those are taken instead.
        device: auto, cpu, cuda, cuda:N or mps. Results repeat bit for bit on the CPU.
        override: key=value in the recipe, for instance training.epochs=3; may be repeated.
        without: Leave out members that need openl3, yamnet or a denoiser; may be repeated.
        store: Folder of artefacts that runs share; OUT/store by default.
        weights: Folder of encoders' weights; the environment variable AUSCULT_WEIGHTS by default.
        stack: Train members of the same features and shapes as one: auto (as yet nowhere), on or off.
    """

    data: Path
    machine_type: Types = None
    dataset: LayoutName = None
    clean: Path | None = None
    device: str = "auto"
    override: Overrides = None
    without: Annotated[list[Literal["openl3", "yamnet", "denoiser"]] | None, Parameter(negative=())] = None
    store: Path | None = None
    weights: Path | None = None
    stack: Literal["auto", "on", "off"] = "auto"
