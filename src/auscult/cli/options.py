"""Options that several commands share."""

from typing import Annotated

from cyclopts import Parameter

Types = Annotated[list[str] | None, Parameter(name="--machine-type", negative=())]
Overrides = Annotated[list[str] | None, Parameter(name="--override", negative=())]
