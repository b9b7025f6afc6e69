"""From a finished run to what its report shows: counts, score tables, and the evidence of the most anomalous clips."""

import platform
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime

import numpy as np
from numpy.typing import NDArray

from auscult import __version__
from auscult.detector.difference import sentence
from auscult.detector.normal import Normal
from auscult.detector.words import of_map
from auscult.features import features_of
from auscult.models import Model, load_model
from auscult.report.data import Beside, Cell, DataRow, Evidence, ReportData, Section, Table
from auscult.report.denoisers import denoiser_sections
from auscult.report.ensembles import ensemble_sections, intervals_of, spreads_of
from auscult.report.official import evaluation_sections, official_tables
from auscult.report.summary import protocol_tables
from auscult.report.tables import ranking
from auscult.runs.analysis import Analysis
from auscult.runs.jobs import load_banks, model_file
from auscult.runs.plan import BankJob, MemberJob
from auscult.runs.results import PROTOCOLS, System, averaged, official_scores
from auscult.runs.store import environment
from auscult.scores.metrics import shown_metrics
from auscult.scores.table import ScoreRow
from auscult.sound.audio import read_waveform

SHOWN = 3
"""Clips with evidence per machine type: the highest scores of the run's final system, whatever their labels."""

SYSTEMS = 8
"""With more systems than this, members of ensembles are left to the members' table."""

MAPS = 4
"""With more members than this, a clip's evidence shows one of each family."""

COMPARED = 200
"""Training clips, about, with which a clip is compared to say in what it differs."""


def report_data(analysis: Analysis) -> ReportData:
    """Collect what the report of a run shows."""
    final, shown = analysis.final, shown_systems(analysis)
    rows = [row for row in averaged(analysis.results) if row.system in shown]
    rows.sort(key=lambda row: row.protocol != final.protocol)  # stable: the headline's protocol stands first
    intervals = intervals_of(analysis)
    used = {row.protocol for row in rows} or {"none"}
    return ReportData(
        title="What the machines sounded like",
        recipe_name=analysis.recipe.name,
        recipe_text=analysis.recipe.to_toml(),
        data_name=str(analysis.data),
        date=datetime.now(UTC).strftime("%d %B %Y"),
        headline=final.name,
        data_summary=data_summary(analysis),
        results=rows,
        tables={
            name: system.development if len(final.development) else system.evaluation for name, system in shown.items()
        },
        evidence=[clip for kind in analysis.plan.machine_types for clip in evidence_of(analysis, kind)],
        histories={job.label: _model(analysis, job).history for job in analysis.plan.members},
        protocols={name: text for name, text in PROTOCOLS.items() if name in used},
        provenance=provenance(analysis),
        notes=[*analysis.notes, *_lacking(analysis)],
        sections=[
            *ensemble_sections(analysis, intervals),
            *evaluation_sections(analysis, list(shown)),
            *denoiser_sections(analysis),
            *_failures(analysis),
        ],
        summary=[
            *official_tables(analysis, "development"),
            *protocol_tables(
                averaged(analysis.results),
                analysis.headline,
                intervals=intervals,
                spreads=spreads_of(analysis),
                always=[name for name, system in shown.items() if system.protocol == "none"],
            ),
        ],
        official=official_scores(analysis.official, "development").get(analysis.headline),
    )


def shown_systems(analysis: Analysis) -> dict[str, System]:
    """The systems that tables and curves show, of the first seed, ensembles under the headline's protocol.

    Where there are more than `SYSTEMS`, those that an ensemble takes in stand in the members' table alone.
    """
    wanted = {"none", analysis.final.protocol}
    found = {system.name: system for system in analysis.of_first_seed() if system.protocol in wanted}
    nodes = analysis.recipe.ensembles()
    inside = {name for node in nodes for name in node.members} - {node.name for node in nodes}
    if len(found) <= SYSTEMS:
        return found
    return {name: system for name, system in found.items() if name not in inside}


def _lacking(analysis: Analysis) -> list[str]:
    """A sentence on the jobs that are not finished."""
    count = len(analysis.failures)
    if not count:
        return []
    what = "1 job is not finished and is" if count == 1 else f"{count} jobs are not finished and are"
    return [f'{what} not in this report; its part "Not finished" lists them with their reasons.']


def _failures(analysis: Analysis) -> list[Section]:
    """The jobs that are not finished."""
    rows = [[Cell(one.label), Cell(one.kind), Cell(one.reason)] for one in analysis.failures]
    caption = "Jobs that failed, and those that could not start without them"
    table = Table(caption, ["job", "", "reason"], rows, texts=3, name="not_finished")
    return [Section("Not finished", tables=[table])] if rows else []


def data_summary(analysis: Analysis) -> list[DataRow]:
    """Numbers of clips of each machine: of all that a member learns from, and of the development test clips."""
    banks = {(bank.split, bank.subset, bank.machine_type): bank for bank in analysis.plan.banks}
    counts: dict[tuple[str, str], dict[str, int]] = {}
    for (split, subset, machine_type), bank in sorted(banks.items()):
        if split == "test" and subset != "development":
            continue
        for clip in bank.clips:
            row = counts.setdefault((machine_type, clip.machine_id), dict.fromkeys(_COUNTS, 0))
            row["train" if split == "train" else clip.label or "unlabelled"] += 1
    return [DataRow(kind, id_, **row) for (kind, id_), row in sorted(counts.items())]


_COUNTS = ("train", "normal", "anomaly", "unlabelled")


def provenance(analysis: Analysis) -> dict[str, str]:
    """What made the numbers, and what they are: versions, seed, device; metrics."""
    metrics = shown_metrics(row.figures for row in analysis.results)
    devices = sorted({job.training.device for job in analysis.plan.members})
    return {
        "auscult": __version__,
        "Python": platform.python_version(),
        **environment(),
        "seeds" if len(analysis.leaves) > 1 else "seed": ", ".join(str(seed) for seed in analysis.leaves),
        "device": ", ".join(devices),
        "threads per job": "1",
        "data": str(analysis.data),
        **{metric.title: metric.description for metric in metrics.values()},
    }


def evidence_of(analysis: Analysis, machine_type: str) -> list[Evidence]:
    """The clips of a machine type to which the final system gave the highest scores, with members' maps."""
    final = analysis.final
    rows = ranking(final.development if len(final.development) else final.evaluation, machine_type)[:SHOWN]
    jobs = analysis.plan.members_of(machine_type, analysis.seed)
    return [_evidence(analysis, jobs, row, rank) for rank, row in enumerate(rows, start=1)]


def _evidence(analysis: Analysis, jobs: Sequence[MemberJob], row: ScoreRow, rank: int) -> Evidence:
    found = {job.name: where for job in jobs if (where := _find(job, row))}
    loudness = _loudness(analysis, row)
    members = [(job, _model(analysis, job)) for job in _telling([job for job in jobs if job.name in found], loudness)]
    bank, index = _shown([found[member.name] for member, _ in members])
    store, features = analysis.store, features_of(bank.features)
    spectrogram = load_banks(store, [bank]).clip(index)
    maps: dict[str, NDArray[np.float32]] = {}
    groups: dict[str, str] = {}
    for job, model in members:
        own, place = found[job.name]
        for name, values in model.maps(load_banks(store, [own]).clip(place), row.machine_id).items():
            title = name if len(members) == 1 else f"{job.name}: {name}"
            maps[title] = _onto(values.astype(np.float32), own, bank, spectrogram.shape)
            groups |= {title: job.name} if len(members) > 1 else {}
    judge, model = max(members, key=lambda pair: loudness[pair[0].name])
    own, place = found[judge.name]
    frames = load_banks(store, [own]).clip(place)
    nearest = (
        (job, model.nearest_clip(load_banks(store, [found[job.name][0]]).clip(found[job.name][1]), row.machine_id))
        for job, model in sorted(members, key=lambda pair: -loudness[pair[0].name])
    )
    teller, nearby = next((pair for pair in nearest if pair[1] is not None), (judge, None))
    recipe, normal = analysis.recipe, _normal(analysis, bank, row.machine_id)
    theirs, values = features_of(own.features), model.error_map([frames], [row.machine_id])[0]
    alone = of_map(values, theirs.bin_frequencies, theirs.frame_rate)
    found_in = alone if normal is None else normal.differences(spectrogram)
    return Evidence(
        system=analysis.final.name,
        machine_type=row.machine_type,
        machine_id=row.machine_id,
        file=row.file,
        label=row.label,
        score=row.score,
        rank=rank,
        spectrogram=spectrogram,
        maps=maps,
        frame_scores=model.frame_scores([frames], [row.machine_id])[0].astype(np.float32),
        frame_scores_of=judge.name,
        frame_offset=model.frame_offset,
        seconds_per_frame=1 / features.frame_rate,
        bin_frequencies=features.bin_frequencies,
        spectrogram_unit="dB" if bank.features.get("scale") == "log" else "",
        map_groups=groups,
        words=sentence(found_in),
        waveform=read_waveform(bank.clips[index].path, sample_rate=recipe.sample_rate, channel=recipe.channel),
        sample_rate=recipe.sample_rate,
        beside=_beside(analysis, teller, nearby, bank),
    )


def _beside(analysis: Analysis, job: MemberJob, place: int | None, shown: BankJob) -> Beside | None:
    """A training clip of a member, by its place, as the bank that is shown would have it; none without a place."""
    if place is None:
        return None
    clips = [(bank, index) for bank in job.train for index in range(len(bank.clips))]
    kept = np.setdiff1d(np.arange(len(clips)), job.scaling.held_out)  # it counts those that the member learned from
    bank, index = clips[kept[place]]
    clip, frames = bank.clips[index], load_banks(analysis.store, [bank]).clip(index)
    rates = [features_of(one.features).frame_rate for one in (shown, bank)]
    shape = round(len(frames) * rates[0] / rates[1]), features_of(shown.features).n_bins
    waveform = None
    if clip.path.is_file():
        recipe = analysis.recipe
        waveform = read_waveform(clip.path, sample_rate=recipe.sample_rate, channel=recipe.channel)
    return Beside(clip.file, _onto(frames, bank, shown, shape), waveform)


def _normal(analysis: Analysis, bank: BankJob, machine_id: str) -> Normal | None:
    """What the training clips of a machine id have in common, or of all ids where it has none, as a bank shows them.

    None where its frames are no levels in decibels.
    """
    features, jobs = features_of(bank.features), analysis.plan.members
    same = [job.train for job in jobs if job.train[0].machine_type == bank.machine_type]
    like = (train for train in same if (train[0].features, train[0].level) == (bank.features, bank.level))
    train = next(like, None)
    if features.config().get("scale") != "log" or features.bin_frequencies is None or train is None:
        return None
    heard = load_banks(analysis.store, list(train))
    places = [place for place, id_ in enumerate(heard.ids) if id_ == machine_id] or [*range(heard.n_clips)]
    some = places[:: max(1, len(places) // COMPARED)]
    return Normal.learned((heard.clip(place) for place in some), features.bin_frequencies, features.frame_rate)


def _telling(jobs: Sequence[MemberJob], loudness: Mapping[str, float]) -> list[MemberJob]:
    """The members whose maps are shown: all of a few, else of each family the one that finds the clip most abnormal."""
    if len(jobs) <= MAPS:
        return list(jobs)
    best: dict[str, MemberJob] = {}
    for job in jobs:
        if job.family not in best or loudness[job.name] > loudness[best[job.family].name]:
            best[job.family] = job
    return list(best.values())


def _shown(found: Sequence[tuple[BankJob, int]]) -> tuple[BankJob, int]:
    """The bank whose frames are shown: the first whose bins are frequencies, or the first where none's are."""
    spectra = (where for where in found if features_of(where[0].features).bin_frequencies is not None)
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
    mine, theirs = features_of(own.features), features_of(shown.features)
    times = np.arange(shape[0]) / theirs.frame_rate
    frames = np.clip(np.rint(times * mine.frame_rate).astype(int), 0, len(values) - 1)
    if mine.bin_frequencies is None or theirs.bin_frequencies is None:
        bins = np.linspace(0, values.shape[1] - 1, shape[1]).round().astype(int)
    else:
        bins = np.abs(mine.bin_frequencies[None, :] - theirs.bin_frequencies[:, None]).argmin(axis=1)
    picked: NDArray[np.float32] = values[np.ix_(frames, bins)]
    return picked


def _loudness(analysis: Analysis, row: ScoreRow) -> dict[str, float]:
    """Member -> how abnormal it finds the clip, in standard deviations of the normal clips of its scale."""
    found = {}
    for name, scores in analysis.leaves[analysis.seed][row.machine_type].items():
        own = next((r.score for r in (*scores.development, *scores.evaluation) if r.key == row.key), None)
        if own is not None:
            training = scores.train.scores
            found[name] = float((own - training.mean()) / (training.std() or 1.0))
    return found


def _model(analysis: Analysis, job: MemberJob) -> Model:
    return load_model(model_file(analysis.store, job), device="cpu")
