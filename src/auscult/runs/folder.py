"""The run folder: results, score tables, weights and report of a finished run, as files for others to read."""

import json
import os
import shutil
from collections.abc import Iterator, Sequence
from dataclasses import asdict
from pathlib import Path

from auscult.files import replacing, saving, write_text
from auscult.runs.analysis import Analysis
from auscult.runs.jobs import model_file
from auscult.runs.parts import part_of
from auscult.runs.plan import MemberJob
from auscult.runs.results import PART_FILES, RESULTS, System, only, row_facts
from auscult.runs.store import Store
from auscult.scores.table import ScoreTable

REPORT = "report.html"

FOLDERS = ("scores", "weights", "tables", "figures")
"""Folders of a run that hold what its analysis made, and nothing else."""


def write_results(analysis: Analysis, folder: Path) -> None:
    """Write `results.json` and the score tables."""
    for system in analysis.systems:
        for part, name in PART_FILES.items():
            table: ScoreTable = getattr(system, part)
            for machine_type in table.groups():
                target = folder / "scores" / machine_type / f"{_stem(system, analysis.seed)}.{name}.csv"
                target.parent.mkdir(parents=True, exist_ok=True)
                only(table, machine_type).write(target)
    rows = [row_facts(row, "development") for row in analysis.results]
    rows += [row_facts(row, "evaluation") for row in analysis.evaluation_results]
    content = {
        "headline": dict(zip(("system", "protocol"), analysis.headline, strict=True)),
        "rows": rows,
        "official": [row.facts for row in analysis.official],
        "choices": [{**asdict(item.choice), "seed": item.seed} for item in analysis.choices],
        "failures": [asdict(failure) for failure in analysis.failures],
        "notes": analysis.notes,
        "scales": [
            {
                "machine_type": job.machine_type,
                "member": job.name,
                "seed": job.seed,
                "method": job.scaling.method,
                "clips": len(analysis.leaves[job.seed][job.machine_type][job.name].train),
            }
            for job in analysis.plan.members
        ],
    }
    write_text(folder / RESULTS, json.dumps(content, indent=1))


def publish(artefact: Path, members: Sequence[MemberJob], store: Store, out: Path) -> None:
    """Bring the files of a finished analysis and the weights and parts of its members into the run folder.

    Files that are the same already stay; what an earlier analysis left in the folders of results is removed. The report
    comes last: where it is, all else is.
    """
    wanted = {path.relative_to(artefact): path for path in _files(artefact) if path.name != "facts.json"}
    parts: dict[Path, str] = {}
    for job in members:
        seed = "" if job.seed == members[0].seed else f".seed-{job.seed}"
        weights = Path("weights", job.machine_type, f"{job.name}{seed}.safetensors")
        wanted[weights] = model_file(store, job)
        parts[weights.with_suffix(".json")] = part_of(job, store, weights=weights.name).model_dump_json(indent=1)
    with saving(out):
        for folder in FOLDERS:
            for path in list(_files(out / folder)):
                if path.relative_to(out) not in {*wanted, *parts}:
                    path.unlink()
        for name, text in parts.items():
            _write(text, out / name)
        for name in sorted(wanted, key=lambda name: (name.name == REPORT, name)):
            _copy(wanted[name], out / name)


def _stem(system: System, first: int) -> str:
    """`hvae`, `ensemble.paper`; with a seed's number where it is not the run's first."""
    stem = system.name if system.protocol == "none" else f"{system.name}.{system.protocol}"
    return stem if system.seed == first else f"{stem}.seed-{system.seed}"


def _files(folder: Path) -> Iterator[Path]:
    return (path for path in folder.rglob("*") if path.is_file())


def _write(text: str, target: Path) -> None:
    if target.is_file() and target.read_text(encoding="utf-8") == text:
        return
    target.parent.mkdir(parents=True, exist_ok=True)
    write_text(target, text)


def _copy(source: Path, target: Path) -> None:
    """Copy a file with its time of change, by which it is known to be the same the next time."""
    there, new = (target.stat() if target.is_file() else None), source.stat()
    if there is not None and (there.st_size, there.st_mtime_ns) == (new.st_size, new.st_mtime_ns):
        return
    target.parent.mkdir(parents=True, exist_ok=True)
    with replacing(target) as temporary:
        shutil.copyfile(source, temporary)
        os.utime(temporary, ns=(new.st_atime_ns, new.st_mtime_ns))
