"""The command of the live page: serve."""

from contextlib import closing
from pathlib import Path
from typing import Annotated

from cyclopts import Parameter


def serve(
    detectors: Annotated[list[Path] | None, Parameter(negative=())] = None,
    /,
    *,
    config: Path | None = None,
    source: Annotated[list[str] | None, Parameter(negative=(), allow_leading_hyphen=True)] = None,
    host: str | None = None,
    port: int | None = None,
    state: Path | None = None,
) -> None:
    """Put the monitor behind a page: which machines sound wrong, since when, and what they sound like.

    Args:
        detectors: Files that `auscult learn` or `auscult pack` wrote, if there is no --config.
        config: TOML file of a plant: machines with their detectors and sources, outputs, retention.
        source: Of each machine of the detectors, in their order: mic, mic:DEVICE, a sound file, a folder to watch, or
            the URL of a stream. Without any, recordings are sent in alone.
        host: Address to listen at; 127.0.0.1 by default. Any other than this computer's own needs a token, which is
            made at the first start.
        port: Port to listen at; 8077 by default, 0 for any.
        state: Folder of the history; `plant` here by default.
    """
    from auscult.cli.display.messages import print_lines, print_warning
    from auscult.errors import MonitorError
    from auscult.processes import default_workers

    try:
        from auscult.live.serve.desk import Desk
        from auscult.live.serve.facts import machines_of
        from auscult.live.serve.server import serve as run
        from auscult.live.serve.settings import Plant, exposed, of_detectors
    except ImportError as error:
        raise MonitorError(
            f"the page needs packages that are missing ({error}): pip install 'auscult[serve]'"
        ) from error
    if (config is None) == (not detectors):
        raise MonitorError(
            "name detectors, such as `auscult serve pump.auscult --source mic`, or a TOML file with --config, not both"
        )
    if config is not None and source:
        raise MonitorError("--source is for detectors; with --config, sources are named in the TOML file")
    plant = None if config is None else Plant.load(config)
    workers = None if plant is None else plant.server.workers
    with closing(Desk(workers or default_workers())) as desk:
        if plant is None:
            known = {path: [*machines_of(path, desk)] for path in detectors or ()}
            plant = Plant(machines=of_detectors(detectors or (), known, source or ()))
        server = {name: value for name, value in (("host", host), ("port", port)) if value is not None}
        if config is not None and (remark := exposed(config, plant)):
            print_warning(remark)
        plant = plant.changed(state=state, **server)
        run(plant, desk=desk, said=print_lines)
