"""What a detector's file says of itself: typed and limited, so that nothing absurd is ever built from it."""

from typing import Annotated, Any, Literal

from pydantic import Field, FiniteFloat, JsonValue

from auscult.members.entries import Entry, FrontEndEntry, Name, PartEntry

FORMAT = 1
"""Version of the files."""

Positive = Annotated[FiniteFloat, Field(gt=0, le=86400)]


class MachineEntry(Entry):
    """A machine with its calibration and condition, which check themselves."""

    name: Name
    machine_id: str = Field(max_length=200)
    calibration: dict[str, Any] | None
    condition: dict[str, Any] | None


class Description(Entry):
    """All of a file but the tensors."""

    format: Literal[1]
    auscult: str
    window_seconds: Positive
    step_seconds: Positive
    alarm: dict[str, Any]
    machines: list[MachineEntry] = Field(min_length=1, max_length=10000)
    front_ends: list[FrontEndEntry] = Field(min_length=1, max_length=1000)
    parts: list[PartEntry] = Field(min_length=1, max_length=1000)
    provenance: dict[str, JsonValue]
    licence: str
