"""How large the numbers of a recipe may be: what no machine can hold is refused before anything is made."""

from collections.abc import Mapping, Sequence
from typing import Annotated, Any

from pydantic import BeforeValidator

LIMITS = {
    "sample_rate": 768_000,
    "n_fft": 65_536,
    "hop_length": 65_536,
    "n_mels": 2_048,
    "context": 2_000,
    "hidden": 16_384,
    "n_latent": 16_384,
    "n_layers": 64,
    "kernel": 1_024,
    "groups": 2_048,
    "m": 1_024,
    "crop": 100_000,
    "windows_per_clip": 100_000,
    "n_components": 256,
}
"""The largest number of each argument of features and models; of one that is not listed, `LARGEST`."""

LARGEST = 1_000_000
LONGEST_LIST = 1_000
LONGEST_TEXT = 1_000

MOST_BYTES = 2**21
"""Of a recipe's file: its parser reads about 1 MB a second."""

MOST_MEMBERS = 3_000
"""Also combinations of a grid."""

MOST_NUMBERS = 2**28
"""Of a model, its weights and constants: training takes four times as many, 4 GB."""

MOST_VALUES = 2**20
"""Of features, in a second of sound."""


def _no_boolean(value: Any) -> Any:
    if isinstance(value, bool):
        raise ValueError(f"give a number, not {str(value).lower()}")
    return value


Whole = Annotated[int, BeforeValidator(_no_boolean)]
"""A whole number; true is none."""

Number = Annotated[float, BeforeValidator(_no_boolean)]
"""A number; true is none."""


def within_limits(arguments: Mapping[str, Any]) -> Mapping[str, Any]:
    """Arguments of features or of a model, none of which is too large.

    Raises:
        ValueError: if one is, with its name, the number and the limit.
    """
    for name, value in arguments.items():
        _check(name, value)
    return arguments


def _check(name: str, value: Any) -> None:
    if isinstance(value, Mapping):
        within_limits(value)
    elif isinstance(value, str):
        if len(value) > LONGEST_TEXT:
            raise ValueError(f"{brief(name)} has {len(value)} characters; at most {LONGEST_TEXT} are allowed")
    elif isinstance(value, Sequence):
        if len(value) > LONGEST_LIST:
            raise ValueError(f"{brief(name)} has {len(value)} items; at most {LONGEST_LIST} are allowed")
        for one in value:
            _check(name, one)
    elif isinstance(value, int | float) and not -LARGEST <= value <= LIMITS.get(name, LARGEST):
        raise ValueError(f"{brief(name)} is {shown(value)}; at most {LIMITS.get(name, LARGEST)} is allowed")


def shown(value: object) -> str:
    """A value as a message shows it."""
    if isinstance(value, int) and abs(value) >= 10**20:  # repr may refuse it
        return "a number of more than 20 digits"
    return brief(repr(value))


def brief(text: str) -> str:
    """A text, or its beginning where it is long.

    >>> brief("ab" * 1000)[-30:]
    'babababab... (2000 characters)'
    """
    return text if len(text) <= 120 else f"{text[:100]}... ({len(text)} characters)"
