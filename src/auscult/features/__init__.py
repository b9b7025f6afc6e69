"""Features: what the models see of a waveform."""

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from auscult.features.base import Features
from auscult.features.registry import Registry

if TYPE_CHECKING:
    from auscult.features.log_mel import LogMel
    from auscult.features.openl3 import OpenL3

FEATURES = Registry[Features](
    {
        "log_mel": "auscult.features.log_mel:LogMel",
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


__all__ = ["FEATURES", "Features", "LogMel", "OpenL3", "features_of"]
