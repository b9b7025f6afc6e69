"""Where benchmarks find sounds, and where they leave their figures."""

import json
from pathlib import Path

PROJECT = Path(__file__).resolve().parents[1]

DATA = PROJECT.parent / "shared" / "data"
"""Sounds and features of others, beside the project; what is missing there is not measured."""

RESULTS = PROJECT / "benchmarks" / "results"
"""Figures, which the tables of the pages show."""


def write(figures: object, path: Path) -> None:
    """Write figures as JSON, and say where they are."""
    path.parent.mkdir(exist_ok=True)
    path.write_text(json.dumps(figures, indent=1) + "\n", encoding="utf-8")
    print(f"written to {path}")
