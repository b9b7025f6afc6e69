"""The command on submissions to the challenge: submit."""

from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

from cyclopts import Parameter

from auscult.cli.display.messages import print_lines
from auscult.cli.options import Output
from auscult.errors import DatasetError, RunError, ScoreError

if TYPE_CHECKING:
    from auscult.submission import Expected
    from auscult.submission.metadata import Identity

_say = partial(print_lines, highlight=False)


def submit(
    run: Path | None = None,
    *,
    out: Output | None = None,
    system: str | None = None,
    protocol: str | None = None,
    label: str | None = None,
    name: str | None = None,
    abbreviation: str | None = None,
    author: Annotated[list[str] | None, Parameter(negative=())] = None,
    false_alarm_share: float = 0.1,
    force: Annotated[bool, Parameter(negative=())] = False,
    check: Path | None = None,
    data: Path | None = None,
    truth: Path | None = None,
) -> int:
    """Write the challenge's files from a finished run and check them, or check a folder; exit code 2 for problems.

    Args:
        run: Run folder of `auscult run`.
        out: Folder to write: a score file per machine, and the metadata.
        system: Member or ensemble; the run's result by default.
        protocol: paper, uniform or leave-one-id-out; the first that there is by default.
        label: Of the submission: LASTNAME_INSTITUTION_task2_N.
        name: Of the submission, for the challenge's tables.
        abbreviation: Of the name, at most 10 characters.
        author: "Lastname; Firstname; email; institution; location"; may be repeated.
        false_alarm_share: Since 2021: share of normal training clips above the thresholds of the decisions.
        force: Replace the submission that is there, its metadata included.
        check: Only check this folder.
        data: Data folder, whose evaluation clips need a score; the run's own by default.
        truth: Ground-truth list: names the clips, too, and gives all metrics and the official score.
    """
    if check is not None:
        given: dict[str, object] = {
            "RUN": run,
            "--out": out,
            "--system": system,
            "--protocol": protocol,
            "--label": label,
            "--name": name,
        }
        given |= {"--abbreviation": abbreviation, "--author": author, "--force": force}
        for option in (option for option, value in given.items() if value):
            raise RunError(f"--check takes --data and --truth only; remove {option}, or --check")
        return _check(check, *_expected(data, truth))
    if run is None or out is None:
        raise RunError("give a run folder and --out FOLDER, or --check FOLDER")
    from auscult.submission.write import require_free

    identity = _identity(label, name, abbreviation, author)
    require_free(out, force=force)  # before the data are read
    expected, truth = _expected(data, truth, run)
    _write(run, out, identity, system=system, protocol=protocol, share=false_alarm_share, force=force)
    return _check(out, expected, truth)


def _identity(label: str | None, name: str | None, abbreviation: str | None, authors: list[str] | None) -> "Identity":
    from auscult.submission.metadata import PLACEHOLDER, PLACEHOLDER_LABEL, Author, Identity, parse_author

    return Identity(
        label=label or PLACEHOLDER_LABEL,
        name=name,
        abbreviation=abbreviation or PLACEHOLDER,
        authors=[parse_author(text) for text in authors or ()] or [Author()],
    )


def _write(
    run: Path, out: Path, identity: "Identity", *, system: str | None, protocol: str | None, share: float, force: bool
) -> None:
    from auscult.submission import write_submission
    from auscult.submission.metadata import metadata_text
    from auscult.submission.run_folder import MEANINGS, choose, read_run
    from auscult.submission.write import decisions_of

    finished = read_run(run)
    choice = choose(finished, system=system, protocol=protocol)
    text, notes = metadata_text(finished, choice, identity)
    decisions = None
    if any(row.machine_id.startswith("section_") for row in choice.table):
        decisions = decisions_of(choice.table, choice.normals, share=share)
        _say(f"decisions: above the threshold that {share:.0%} of the training clips' scores exceed")
    files = write_submission(choice.table, text, label=identity.label, out=out, decisions=decisions, force=force)
    _say(f"system: {choice.system}, protocol {choice.protocol}: {MEANINGS[choice.protocol]}")
    if choice.others:
        _say(f"its other protocols: {', '.join(choice.others)}; choose with --protocol")
    for note in notes:
        _say(f"note: {note}")
    counts = f"{len(files) - 1 - len(decisions or {})} score files"
    if decisions:
        counts += f", {len(decisions)} files of decisions"
    _say(f"submission: {out}: {counts} and {files[-1].name}")


def _expected(data: Path | None, truth: Path | None, run: Path | None = None) -> "tuple[Expected | None, Path | None]":
    """The clips that need a score, if anything names them, and the ground-truth list: given, or beside the data."""
    from auscult.datasets import load_clips
    from auscult.datasets.truth import find_truth, read_list
    from auscult.submission import Expected
    from auscult.submission.run_folder import data_of

    if data is not None:
        truth = truth or (find_truth(data) if data.is_dir() else None)
        return Expected.from_clips(load_clips(data, truth=truth), data), truth
    if truth is not None:
        return Expected.from_truth(read_list(truth).clips, truth), truth
    if run is not None and (own := data_of(run)) is not None:
        try:
            clips = load_clips(own.folder, dataset=own.dataset, truth=own.truth)
            return Expected.from_clips(clips, own.folder), own.truth or find_truth(own.folder)
        except (DatasetError, ScoreError) as error:
            _say(f"note: the run's data cannot say which clips need a score: {error}")
    return None, None


def _check(folder: Path, expected: "Expected | None", truth: Path | None) -> int:
    from auscult.submission import Expected, check_submission

    expected = expected or Expected.of_the_challenge(folder)
    checked = check_submission(folder, expected)
    for path in checked.ignored:
        _say(f"ignored: {path}")
    for problem in checked.problems:
        _say(f"problem: {problem}")
    if checked.to_fill:
        _say(f"note: the metadata is still to be filled in: {', '.join(checked.to_fill)}")
    if checked.problems:
        count = len(checked.problems)
        _say(f"{count} problem{'s' if count > 1 else ''}, checked against {expected.source}")
        return 2
    _say(f"no problem: {checked.machines} machines, {checked.clips} clips, checked against {expected.source}")
    if truth is not None:
        _evaluate(folder, truth)
    return 0


def _evaluate(folder: Path, truth: Path) -> None:
    from rich.console import Console

    from auscult.cli.display.tables import decisions_table, figures_table, official_line
    from auscult.datasets.truth import read_list
    from auscult.scores import metrics
    from auscult.scores.official import decision_figures, official, why_none
    from auscult.submission import read_decisions, read_submission

    listed = read_list(truth)
    table, _ = read_submission(folder, truth=listed.clips)
    for (machine_type, machine_id), reason in metrics.incomplete_ids(table).items():
        _say(f"note: {machine_type} {machine_id} has {reason}: it has no AUC and is left out of all means")
    if figures := metrics.evaluate(table, incomplete="skip"):
        _say(f"evaluated with {truth}:")
        Console().print(figures_table(figures, str(folder)))
        if decided := decision_figures(read_decisions(folder, truth=listed.clips)):
            Console().print(decisions_table(decided))
        score = official(table, years=listed.years, replicates=1000)
        _say(official_line(score) if score else f"there is no official score: {why_none(table, listed.years)}")
