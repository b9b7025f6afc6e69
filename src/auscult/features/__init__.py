"""Features: what the models see of a waveform; registries, which import a class when it is asked for by its name."""

import inspect
from collections import UserDict
from collections.abc import Mapping
from importlib import import_module
from typing import TYPE_CHECKING, Any, TypeVar

from auscult.errors import FeatureError
from auscult.features.base import Features

if TYPE_CHECKING:
    from auscult.features.log_mel import LogMel
    from auscult.features.openl3 import OpenL3

Kind = TypeVar("Kind")


class Registry(UserDict[str, type[Kind]]):
    """Name -> class; written down as `"module:Class"`, or as the class itself.

    >>> Registry[dict]({"counter": "collections:Counter"})["counter"]
    <class 'collections.Counter'>
    """

    def __init__(self, classes: dict[str, str]) -> None:
        super().__init__()
        self.data: dict[str, Any] = dict(classes)

    def __getitem__(self, name: str) -> type[Kind]:
        """The class of a name."""
        found = self.data[name]
        if isinstance(found, str):
            module, _, own = found.partition(":")
            found = self.data[name] = getattr(import_module(module), own)
        kind: type[Kind] = found
        return kind

    def class_named(self, own: str) -> type[Kind]:
        """The class by its own name, as an attribute of the module that has the registry.

        Raises:
            AttributeError: if there is none.
        """
        for name, found in self.data.items():
            if own == (found.partition(":")[2] if isinstance(found, str) else found.__name__):
                return self[name]
        raise AttributeError(f"there is no {own!r}; there are {', '.join(self)}")


FEATURES = Registry[Features](
    {
        "log_mel": "auscult.features.log_mel:LogMel",
        "modulation": "auscult.features.modulation:Modulation",
        "statistics": "auscult.features.vectors:Statistics",
        "openl3": "auscult.features.openl3:OpenL3",
        "onnx": "auscult.features.onnx_encoder:OnnxEncoder",
        "yamnet": "auscult.features.yamnet:Yamnet",
    }
)
"""Kinds of features by their name in recipes."""

__getattr__ = FEATURES.class_named


def features_of(config: Mapping[str, Any], *, outline: bool = False) -> Features:
    """Features from their kind and their arguments, which have been checked.

    Args:
        config: what `Features.arguments` gave.
        outline: whether an outline will do, which needs no files.
    """
    arguments = {name: value for name, value in config.items() if name != "kind"}
    kind = FEATURES[config["kind"]]
    return kind.outline(**arguments) if outline else kind(**arguments)


def features_within(
    table: Mapping[str, Any], *, sample_rate: int, weights: str | None, device: str = "cpu", outline: bool = False
) -> Features:
    """Features that others are made of, from a table of kind and arguments.

    Args:
        table: without the place of weights.
        sample_rate: in Hz, for kinds of any rate whose table has none.
        weights: folder of published weights, for kinds that need them.
        device: for kinds that can choose.
        outline: whether an outline will do, which needs no files.

    Raises:
        FeatureError: for an unknown kind or argument, a value out of range, or a place.
    """
    kind = FEATURES.get(str(table.get("kind")))
    if kind is None:
        raise FeatureError(f"features of the kind {table.get('kind')!r}; choose one of {', '.join(FEATURES)}")
    allowed = inspect.signature(kind).parameters
    if wrong := [name for name in table if name not in {*allowed, "kind"} - kind.places]:
        raise FeatureError(
            f"features of the kind {kind.kind!r} have no argument {wrong[0]!r} here; they have "
            f"{', '.join(name for name in allowed if name not in kind.places)}"
        )
    given = {"sample_rate": sample_rate, "weights": weights, "device": device}
    more = {name: value for name, value in given.items() if name in allowed and name not in table}
    try:
        return features_of({**more, **table}, outline=outline)
    except TypeError as error:
        raise FeatureError(f"features of the kind {kind.kind!r}: {error}") from error


__all__ = ["FEATURES", "Features", "LogMel", "OpenL3", "Registry", "features_of", "features_within"]
