"""From a finished run to what its report shows: counts, score tables, and the evidence of the most anomalous clips."""

import platform
from collections.abc import Sequence
from datetime import UTC, datetime

import numpy as np
from numpy.typing import NDArray

from auscult import __version__
from auscult.audio import read_waveform
from auscult.clips import Clip
from auscult.jobs import features_of, front_end_of, load_banks, model_file
from auscult.models import Model, load_model
from auscult.plan import BankJob, MemberJob
from auscult.report.data import DataRow, Evidence, ReportData, Section
from auscult.report.denoisers import denoiser_sections
from auscult.report.tables import results_section
from auscult.results import PROTOCOLS, Run, System, only
from auscult.scores import ScoreRow
from auscult.store import environment

SHOWN = 3
"""Clips with evidence per machine type: the highest scores of the run's final system, whatever their labels."""


def report_data(run: Run) -> ReportData:
    """Collect what the report of a run shows."""
    final = run.systems[-1]
    tables = {s.name: s.development if len(final.development) else s.evaluation for s in run.systems}
    used = {row.protocol for row in run.results} or {"none"}
    return ReportData(
        title="What the machines sounded like",
        recipe_name=run.recipe.name,
        recipe_text=run.recipe.to_toml(),
        data_name=str(run.data),
        date=datetime.now(UTC).strftime("%d %B %Y"),
        headline=final.name,
        data_summary=data_summary(run),
        results=run.results,
        tables=tables,
        evidence=[clip for kind in run.plan.machine_types for clip in evidence_of(run, final, kind)],
        histories={job.label: _model(run, job).history for job in run.plan.members},
        protocols={name: text for name, text in PROTOCOLS.items() if name in used},
        provenance=provenance(run),
        notes=[*(f"{failure}." for failure in run.failures), *run.notes],
        sections=[*_evaluation(run), *denoiser_sections(run)],
    )


def data_summary(run: Run) -> list[DataRow]:
    """Numbers of clips of each machine: of all that a member learns from, and of the development test clips."""
    banks = {(bank.split, bank.subset, bank.machine_type): bank for bank in run.plan.banks}
    counts: dict[tuple[str, str], dict[str, int]] = {}
    for (split, subset, machine_type), bank in sorted(banks.items()):
        if split == "test" and subset != "development":
            continue
        for clip in bank.clips:
            row = counts.setdefault((machine_type, clip.machine_id), dict.fromkeys(_COUNTS, 0))
            row["train" if split == "train" else clip.label or "unlabelled"] += 1
    return [DataRow(kind, id_, **row) for (kind, id_), row in sorted(counts.items())]


_COUNTS = ("train", "normal", "anomaly", "unlabelled")


def provenance(run: Run) -> dict[str, str]:
    """What made the numbers: versions, seed, device."""
    devices = sorted({job.training.device for job in run.plan.members})
    return {
        "auscult": __version__,
        "Python": platform.python_version(),
        **environment(),
        "seed": str(run.recipe.seed),
        "device": ", ".join(devices),
        "threads per job": "1",
        "data": str(run.data),
    }


def evidence_of(run: Run, final: System, machine_type: str) -> list[Evidence]:
    """The clips of a machine type to which the final system gave the highest scores, with every member's maps."""
    table = only(final.development if len(final.development) else final.evaluation, machine_type)
    ranked = sorted(table, key=lambda row: -row.score)[:SHOWN]
    members = [(job, _model(run, job)) for job in run.plan.members_of(machine_type)]
    return [_evidence(run, final, members, row, rank) for rank, row in enumerate(ranked, start=1)]


def _evidence(
    run: Run, final: System, all_members: Sequence[tuple[MemberJob, Model]], row: ScoreRow, rank: int
) -> Evidence:
    found = {job.name: where for job, _ in all_members if (where := _find(job, row))}
    members = [(job, model) for job, model in all_members if job.name in found]
    bank, index = _shown([found[member.name] for member, _ in members])
    front_end = front_end_of(bank, run.store)
    spectrogram = load_banks(run.store, [bank]).clip(index)
    maps: dict[str, NDArray[np.float32]] = {}
    groups: dict[str, str] = {}
    curves: dict[str, NDArray[np.float32]] = {}
    for member, model in members:
        own, place = found[member.name]
        frames = load_banks(run.store, [own]).clip(place)
        for name, values in model.maps(frames, row.machine_id).items():
            title = name if len(members) == 1 else f"{member.name}: {name}"
            maps[title] = _onto(values.astype(np.float32), own, bank, spectrogram.shape)
            groups[title] = member.name
        curves[member.name] = model.frame_scores([frames], [row.machine_id])[0].astype(np.float32)
    loudest = _loudest(run, [member for member, _ in members], row)
    judge = next(model for member, model in members if member.name == loudest)
    clip: Clip = bank.clips[index]
    rate = run.recipe.sample_rate
    return Evidence(
        system=final.name,
        machine_type=row.machine_type,
        machine_id=row.machine_id,
        file=row.file,
        label=row.label,
        score=row.score,
        rank=rank,
        spectrogram=spectrogram,
        maps=maps,
        frame_scores=curves[loudest],
        frame_scores_of=loudest,
        frame_offset=judge.frame_offset,
        seconds_per_frame=1 / front_end.features.frame_rate,
        bin_frequencies=front_end.features.bin_frequencies,
        spectrogram_unit="dB" if bank.features.get("scale") == "log" else "",
        map_groups=groups if len(members) > 1 else {},
        waveform=read_waveform(clip.path, sample_rate=rate, channel=run.recipe.channel),
        sample_rate=rate,
    )


def _shown(found: Sequence[tuple[BankJob, int]]) -> tuple[BankJob, int]:
    """The bank whose frames are shown: the first whose bins are frequencies, or the first where none's are."""
    spectra = (where for where in found if features_of(where[0]).bin_frequencies is not None)
    return next(spectra, found[0])


def _find(job: MemberJob, row: ScoreRow) -> tuple[BankJob, int] | None:
    """The bank of a member's test clips that holds a row's clip, and its place in there; none if it is in none."""
    for bank in job.test:
        for index, clip in enumerate(bank.clips):
            if (clip.machine_id, clip.file, clip.label) == (row.machine_id, row.file, row.label):
                return bank, index
    return None


def _onto(values: NDArray[np.float32], own: BankJob, shown: BankJob, shape: tuple[int, ...]) -> NDArray[np.float32]:
    """A map on the frames and bins of the spectrogram that is shown, by the nearest frame and bin."""
    mine, theirs = features_of(own), features_of(shown)
    times = np.arange(shape[0]) / theirs.frame_rate
    frames = np.clip(np.rint(times * mine.frame_rate).astype(int), 0, len(values) - 1)
    if mine.bin_frequencies is None or theirs.bin_frequencies is None:
        bins = np.linspace(0, values.shape[1] - 1, shape[1]).round().astype(int)
    else:
        bins = np.abs(mine.bin_frequencies[None, :] - theirs.bin_frequencies[:, None]).argmin(axis=1)
    picked: NDArray[np.float32] = values[np.ix_(frames, bins)]
    return picked


def _loudest(run: Run, jobs: Sequence[MemberJob], row: ScoreRow) -> str:
    """The member to which the clip is most abnormal, in standard deviations of its training clips."""
    heights = {}
    for system in run.systems:
        if system.name in {job.name for job in jobs}:
            training = only(system.train, row.machine_type).scores
            own = next(r.score for r in (*system.development, *system.evaluation) if r.key == row.key)
            heights[system.name] = (own - training.mean()) / (training.std() or 1.0)
    return max(heights, key=heights.__getitem__)


def _model(run: Run, job: MemberJob) -> Model:
    return load_model(model_file(run.store, job), device="cpu")


def _evaluation(run: Run) -> list[Section]:
    """The figures of the evaluation machines, apart from those of the development machines."""
    if not run.evaluation_results:
        return []
    return [results_section("The evaluation machines", run.evaluation_results, [s.name for s in run.systems])]
