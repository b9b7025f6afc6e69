"""What a file says of a fitted member: typed and limited, so that nothing absurd is ever built from it."""

from typing import Annotated

from pydantic import BaseModel, ConfigDict, Field, FiniteFloat, JsonValue

from auscult.scores.fusion import Curve
from auscult.sound.audio import Channel

Name = Annotated[str, Field(min_length=1, max_length=200)]
Rate = Annotated[int, Field(ge=250, le=768000)]


class Entry(BaseModel):
    """Strict: no unknown keys, and no conversion of types but from whole numbers to fractions."""

    model_config = ConfigDict(extra="forbid", strict=True, frozen=True)


class DenoiserEntry(Entry):
    """A denoiser of one strength."""

    n_fft: int = Field(ge=16, le=65536)
    hop_length: int = Field(ge=1, le=65536)
    channels: list[Annotated[int, Field(ge=1, le=4096)]] = Field(min_length=8, max_length=8)
    sample_rate: Rate
    tensors: Name


class FrontEndEntry(Entry):
    """How a waveform becomes frames: kind and arguments of the features, and what comes before them."""

    features: dict[str, JsonValue]
    channel: int = Field(ge=0, le=4096)
    reference_channel: int | None = Field(None, ge=0, le=4096)
    denoiser: DenoiserEntry | None
    files: dict[Name, Name] = Field(default_factory=dict, max_length=16)
    """Name of a file of weights -> its entry, for features whose weights a detector carries."""

    @property
    def microphones(self) -> Channel:
        """What is read of recordings."""
        return self.channel if self.reference_channel is None else (self.channel, self.reference_channel)


def channel_entry(channel: Channel) -> dict[str, int]:
    """What stands in a front end's entry of what is read of recordings."""
    return (
        {"channel": channel}
        if isinstance(channel, int)
        else dict(zip(("channel", "reference_channel"), channel, strict=True))
    )


class PartEntry(Entry):
    """A member: its model, whose tensors stand in an entry of their own, its scale and its weight."""

    name: Name
    family: Name
    front_end: int = Field(ge=0)
    arguments: dict[str, JsonValue]
    ids: list[Name] = Field(max_length=10000)
    tensors: Name
    pooling: str | None
    mean: FiniteFloat
    sd: FiniteFloat = Field(gt=0)
    weight: FiniteFloat = Field(gt=0)
    curve: Curve = "line"
