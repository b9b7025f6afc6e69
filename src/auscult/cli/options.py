"""Options that several commands share."""

from typing import Annotated, Literal

from cyclopts import Parameter

Types = Annotated[list[str] | None, Parameter(name="--machine-type", negative=())]
Overrides = Annotated[list[str] | None, Parameter(name="--override", negative=())]
Without = Annotated[list[Literal["openl3", "denoiser"]] | None, Parameter(name="--without", negative=())]
Stack = Literal["auto", "on", "off"]
