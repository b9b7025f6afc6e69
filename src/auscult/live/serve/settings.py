"""What a plant is: machines with their sources and detectors, the server, outputs, retention; from TOML or options."""

import os
import re
import stat
import tomllib
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated, Any, Literal, Self

from pydantic import BaseModel, ConfigDict, Field, ValidationError, field_validator

from auscult.errors import MonitorError, nearest
from auscult.live.history import Retention
from auscult.live.network import is_url
from auscult.live.sources import SourceOptions, is_microphone

NAME = re.compile(r"[^\x00-\x1f\x7f/\\+#?%]{1,64}")
"""Of machines: it stands in addresses and MQTT topics."""

PORT = 8077
STATE = Path("plant")


class _Table(BaseModel):
    """A table of the file; unknown keys are refused."""

    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False)


class ServerTable(_Table):
    """Where the server listens, and what it takes.

    Attributes:
        host, port: of the page; other hosts than the loopback need a token.
        token: whether the loopback needs one, too, as behind a proxy.
        workers: processes that score uploads and evidence; one for each processor if none is given.
        upload_megabytes, upload_sound_seconds, upload_wait_seconds: most of one upload: its size, its length, the time
            that it may take to come.
        uploads_per_minute: of one client.
        clients: pages that may be open at the same time.
    """

    host: str = "127.0.0.1"
    port: Annotated[int, Field(ge=0, le=65535)] = PORT
    token: bool = False
    workers: Annotated[int, Field(ge=1, le=256)] | None = None
    upload_megabytes: Annotated[float, Field(gt=0, le=1000)] = 50.0
    upload_sound_seconds: Annotated[float, Field(gt=0, le=3600)] = 600.0
    upload_wait_seconds: Annotated[float, Field(gt=0, le=600)] = 60.0
    uploads_per_minute: Annotated[int, Field(ge=1)] = 6000
    clients: Annotated[int, Field(ge=1, le=10_000)] = 100


class OutputsTable(_Table):
    """Where events go besides the history; as the options of `auscult monitor`."""

    mqtt: str | None = None
    home_assistant: bool = False
    webhook: str | None = None


class MachineTable(_Table):
    """One machine: who judges it, where its sound comes from, by which rule; most as the options of `auscult monitor`.

    Attributes:
        detector: file of `auscult learn` or `auscult pack`.
        machine: of the detector, if it knows several.
        title: how people call it; the table's name if none is given.
        source: of its sound; none for a machine whose recordings are uploaded alone.
        normals: the folder that was given to `auscult learn`, so that the page can play the nearest normal sound.
        replay: the moment at which recordings began: times are then those of the sound, not of the clock.
        speed: of a replay, in seconds of sound for each second, at most.
    """

    detector: Path
    machine: str | None = None
    title: str | None = None
    source: str | None = None
    rate: int | None = None
    channels: int | None = None
    format: Literal["s16le", "s32le", "f32le", "wav"] | None = None
    channel: int | None = None
    stall: float | None = None
    once: bool = False
    threshold: float | None = None
    alarm: str | None = None
    release_k: int | None = None
    release_margin: float | None = None
    cool_down: float | None = None
    normals: Path | None = None
    replay: datetime | None = None
    speed: Annotated[float, Field(gt=0)] | None = None
    outputs: OutputsTable = OutputsTable()

    @field_validator("source")
    @classmethod
    def _of_its_own(cls, value: str | None) -> str | None:
        """Standard input belongs to one monitor alone; and what nobody can hear is no source."""
        if value == "-":
            raise ValueError("standard input is heard by `auscult monitor` alone; name a file, a folder, mic or a URL")
        if value is not None and not value.strip():
            raise ValueError(
                "it is empty; name a file, a folder, mic or a URL, or leave it out: then recordings are sent in"
            )
        if value is not None and "://" in value and not is_url(value):
            raise ValueError("streams begin with rtsp://, rtsps://, http:// or https://; name one of these, or a file")
        return value

    @field_validator("replay")
    @classmethod
    def _with_zone(cls, value: datetime | None) -> datetime | None:
        """A time without a zone is that of the computer's own."""
        return value if value is None else value.astimezone(UTC)

    @property
    def begins(self) -> float | None:
        """Of a replay, in seconds since 1970."""
        return None if self.replay is None else self.replay.timestamp()


class Plant(_Table):
    """All that a server is told.

    Attributes:
        state: folder of the history and of the token.
        machines: name -> machine.
    """

    state: Path = STATE
    server: ServerTable = ServerTable()
    retention: Retention = Retention()
    outputs: OutputsTable = OutputsTable()
    machines: Annotated[dict[str, MachineTable], Field(min_length=1)]

    @field_validator("machines")
    @classmethod
    def _named(cls, value: dict[str, MachineTable]) -> dict[str, MachineTable]:
        for name in value:
            if not NAME.fullmatch(name) or name != name.strip() or name in (".", ".."):
                raise ValueError(
                    f"{name!r} is no name of a machine; give 1 to 64 characters without / \\ + # ? % and control "
                    "characters"
                )
        return value

    @classmethod
    def load(cls, path: Path) -> Self:
        """Read a TOML file; paths in it are relative to its folder.

        Raises:
            MonitorError: if it is missing, no TOML, or says what cannot be.
        """
        try:
            text = path.read_text(encoding="utf-8")
            return cls.model_validate(tomllib.loads(text)).at(path.resolve().parent)
        except OSError as error:
            raise MonitorError(f"{path} cannot be read ({error.strerror}); name the plant's TOML file") from error
        except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
            raise MonitorError(f"{path} is no TOML ({error}); docs/serve.md has an example") from error
        except ValidationError as error:
            raise MonitorError(f"{path}: {_sentence(error)}") from error

    def changed(self, *, state: Path | None = None, **server: Any) -> Self:
        """The same with another folder of the history, and other values of the server's table.

        Raises:
            MonitorError: if a value is out of range.
        """
        try:
            table = ServerTable.model_validate({**self.server.model_dump(), **server})
        except ValidationError as error:
            raise MonitorError(_sentence(error)) from error
        return self.model_copy(update={"server": table, **({} if state is None else {"state": state})})

    def at(self, folder: Path) -> Self:
        """The same with paths that are relative to a folder."""
        machines = {
            name: one.model_copy(
                update={
                    "detector": folder / one.detector,
                    "source": _placed(one.source, folder),
                    "normals": None if one.normals is None else folder / one.normals,
                }
            )
            for name, one in self.machines.items()
        }
        return self.model_copy(update={"machines": machines, "state": folder / self.state})


def exposed(path: Path, plant: Plant) -> str:
    """A sentence about a TOML file with secrets that everybody on the computer can read; empty if it is none.

    Args:
        path: of the file.
        plant: what it says.
    """
    tables = [plant.outputs, *(one.outputs for one in plant.machines.values())]
    streams = [one.source for one in plant.machines.values() if one.source is not None and is_url(one.source)]
    secret = any(table.webhook for table in tables) or any(set(stream) & set("@?") for stream in streams)
    if os.name != "posix" or not secret or not path.stat().st_mode & stat.S_IROTH:
        return ""
    return (
        f"{path} holds addresses with passwords or of webhooks, and everybody on this computer can read it; let its "
        "group alone do so: chmod o-r"
    )


def source_options(one: MachineTable, channel: Any) -> SourceOptions:
    """What `auscult monitor` would be told of the machine's source; it must have one."""
    assert one.source is not None
    return SourceOptions(one.source, one.rate, one.channels, one.format, channel, one.stall, one.once)


def of_detectors(
    detectors: Sequence[Path], machines: Mapping[Path, Sequence[str]], sources: Sequence[str]
) -> dict[str, MachineTable]:
    """Name -> machine, of detectors alone: each of their machines, with the sources in the same order if there are any.

    Args:
        detectors: files.
        machines: detector -> names of its machines.
        sources: as many as machines, or none: then recordings are uploaded alone.

    Raises:
        MonitorError: if sources and machines do not match, or names repeat.
    """
    pairs = [(path, name) for path in detectors for name in machines[path]]
    if sources and len(sources) != len(pairs):
        listed = ", ".join(name for _, name in pairs)
        raise MonitorError(
            f"there are {len(pairs)} machines ({listed}) and {len(sources)} of --source; give one for each machine, in "
            "this order, or name them in a TOML file (--config)"
        )
    found: dict[str, MachineTable] = {}
    for place, (path, name) in enumerate(pairs):
        shown = re.sub(r"[\x00-\x1f\x7f/\\+#?%]", "-", name)[:64].strip()
        if shown in ("", ".", ".."):
            raise MonitorError(f"{path} calls a machine {name!r}; give it another name in a TOML file (--config)")
        if shown in found:
            raise MonitorError(
                f"two detectors know a machine {shown}; give them names of their own in a TOML file (--config)"
            )
        source = sources[place] if sources else None
        try:
            found[shown] = MachineTable(detector=path, machine=name, source=source)
        except ValidationError as error:
            raise MonitorError(_sentence(error)) from error
    return found


def _placed(source: str | None, folder: Path) -> str | None:
    """A source with a path made absolute."""
    if source is None or is_microphone(source) or "://" in source:
        return source
    return str(folder / source)


def _sentence(error: ValidationError) -> str:
    first = error.errors()[0]
    place = ".".join(map(str, first["loc"])) or "the file"
    if first["type"] == "extra_forbidden":
        within: dict[str, type[BaseModel]] = {
            "server": ServerTable,
            "retention": Retention,
            "outputs": OutputsTable,
            "machines": MachineTable,
        }
        names = [str(key) for key in first["loc"][:-1] if str(key) in within]
        table = within[names[-1]] if names else Plant
        allowed = ", ".join(table.model_fields)
        return f"the key {place} is unknown{nearest(str(first['loc'][-1]), table.model_fields)}; allowed are {allowed}"
    if first["type"] == "missing":
        return f"{place} is missing" + (
            "; name at least one machine: [machines.NAME] with detector and source" if place == "machines" else ""
        )
    return f"{place}: {first['msg'].removeprefix('Value error, ')}, given was {str(first.get('input'))[:80]!r}"
