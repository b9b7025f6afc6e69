"""Options that several commands share."""

from pathlib import Path
from typing import Annotated, Literal

from cyclopts import Parameter

Output = Annotated[Path, Parameter(name=["--out", "-o"])]
Types = Annotated[list[str] | None, Parameter(name="--machine-type", negative=())]
Overrides = Annotated[list[str] | None, Parameter(name="--override", negative=())]
Without = Annotated[list[Literal["openl3", "denoiser"]] | None, Parameter(name="--without", negative=())]
Stack = Literal["auto", "on", "off"]
