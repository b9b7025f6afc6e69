"""The challenge's submission folder: score files and metadata, read, written from a run, and checked."""

from auscult.submission.check import Checked, Expected, SubmissionProblem, check_submission
from auscult.submission.read import SCORE_FILE, Truth, read_decisions, read_submission
from auscult.submission.write import write_submission

__all__ = [
    "SCORE_FILE",
    "Checked",
    "Expected",
    "SubmissionProblem",
    "Truth",
    "check_submission",
    "read_decisions",
    "read_submission",
    "write_submission",
]
