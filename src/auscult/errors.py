"""The errors a user can cause: one root; each says what was given, what is allowed, what to do next."""

import difflib
import re
from collections.abc import Iterable, Iterator
from contextlib import contextmanager


class AuscultError(Exception):
    """Root of all errors that a user can mend; the command line prints its message and exits with code 2."""


class AudioError(AuscultError):
    """A file cannot be read as the waveform that was asked for."""


class DatasetError(AuscultError):
    """A data folder is not what a dataset's layout demands."""


class DownloadError(AuscultError):
    """An archive could not be fetched, checked or unpacked."""


class FeatureError(AuscultError):
    """A waveform cannot be turned into the features that were asked for."""


class WeightsError(FeatureError):
    """The published weights that features need are missing, damaged or others."""


class ModelError(AuscultError):
    """A model got arguments, features or machine ids that it cannot work with."""


class TrainingError(AuscultError):
    """A training stopped because its loss is not a finite number."""


class RecipeError(AuscultError):
    """A recipe has an unknown key, a wrong value, or asks for what does not exist."""


class RunError(AuscultError):
    """A run folder or a store cannot be used as asked."""


class AlarmError(AuscultError):
    """An alarm logic has settings, times or scores that it cannot work with."""


class CalibrationError(AuscultError):
    """A threshold cannot be set as asked: the rate, the scores or the amount of sound do not allow it."""


class MonitorError(AuscultError):
    """A source, an output or the history of a monitor cannot be used as asked."""


class DetectorError(AuscultError):
    """A detector's file is damaged or cannot be made, or a sound is not what it can score."""


class ExportError(AuscultError):
    """A detector cannot be exported: a member has no graph, a package is missing, or the graphs say something else."""


class ScoreError(AuscultError):
    """A table of scores is damaged, or lacks what an evaluation needs."""


@contextmanager
def noting(missing: list[str] | None, kind: type[AuscultError] = AuscultError) -> Iterator[None]:
    """Take down what is missing and go on behind the block; without a list, errors are raised as everywhere.

    Args:
        missing: takes each message once.
        kind: of the errors to take down; others are raised.
    """
    try:
        yield
    except kind as error:
        if missing is None:
            raise
        if str(error) not in missing:
            missing.append(str(error))


def plain(text: str) -> str:
    r"""Text for a terminal: control characters, which names in strangers' files may hold, would be orders to it.

    >>> plain("fan\x1b[2J")
    'fan�[2J'
    """
    return re.sub(r"[\x00-\x08\x0b-\x1f\x7f-\x9f]", "\ufffd", text)


def nearest(given: str, allowed: Iterable[str]) -> str:
    """`" (did you mean 'x'?)"` for messages, or nothing if no allowed word is near.

    >>> nearest("epoch", ["epochs", "seed"])
    " (did you mean 'epochs'?)"
    """
    by_lower = {word.lower(): word for word in allowed}
    near = difflib.get_close_matches(given.lower(), by_lower, n=1)
    return f" (did you mean {by_lower[near[0]]!r}?)" if near else ""
