"""Commands on a detector as a whole: info, export."""

import sys
from pathlib import Path
from typing import Annotated

from cyclopts import Parameter

from auscult.errors import plain


def export(detector: Path, *, onnx: Annotated[Path, Parameter(name="--onnx")]) -> None:
    """Export a detector as ONNX graphs with a runner that needs onnxruntime and numpy only.

    Every graph is compared with torch before the folder appears.

    Args:
        detector: The detector's file.
        onnx: Folder to make: a graph for each member, detector.json, run.py.
    """
    from auscult.files import require_new_folder

    require_new_folder(onnx)  # before torch and the detector are loaded

    from rich.console import Console

    from auscult.cli.display.messages import print_lines
    from auscult.cli.display.progress import counting
    from auscult.cli.display.scores import Patience
    from auscult.cli.display.tables import exported_table

    with Patience(f"loading {detector.name}"):
        from auscult.detector import Detector
        from auscult.export import export_detector
        from auscult.export.writing import require_packages

        require_packages()
        opened = Detector.load(detector)
    with counting("exporting") as show:
        members = export_detector(opened, onnx, on_member=lambda done, total: show(done, total, "members"))
    Console().print(exported_table(members))
    print_lines(f"exported: {onnx}; try it: python {onnx / 'run.py'} RECORDING.wav")


def info(detector: Path, *, as_json: Annotated[bool, Parameter(name="--json", negative=())] = False) -> None:
    """Print what a detector is made of, its thresholds and what they promise.

    Args:
        detector: The detector's file.
        as_json: Print JSON.
    """
    import json

    from auscult.cli.display.scores import Patience, info_lines

    with Patience(f"loading {detector.name}"):
        from auscult.detector import Detector
        from auscult.detector.listing import facts_of

        facts = facts_of(Detector.load(detector))
    sys.stdout.write(f"{json.dumps(facts, indent=1)}\n" if as_json else plain(info_lines(facts)))
