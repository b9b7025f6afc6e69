"""Models: each learns what is normal and scores what is not."""

from pathlib import Path
from typing import TYPE_CHECKING

from auscult.errors import ModelError
from auscult.features import Registry
from auscult.models.base import Model
from auscult.models.saved import read_model_file

if TYPE_CHECKING:
    from auscult.models.autoencoder import Autoencoder
    from auscult.models.classifier import Classifier
    from auscult.models.freak import Freak
    from auscult.models.hvae import HVAE
    from auscult.models.idcae import IDCAE
    from auscult.models.mahalanobis import Mahalanobis
    from auscult.models.neighbours import Neighbours
    from auscult.models.spectral import Spectral

MODELS = Registry[Model](
    {
        "autoencoder": "auscult.models.autoencoder:Autoencoder",
        "mahalanobis": "auscult.models.mahalanobis:Mahalanobis",
        "spectral": "auscult.models.spectral:Spectral",
        "hvae": "auscult.models.hvae:HVAE",
        "idcae": "auscult.models.idcae:IDCAE",
        "freak": "auscult.models.freak:Freak",
        "neighbours": "auscult.models.neighbours:Neighbours",
        "classifier": "auscult.models.classifier:Classifier",
    }
)
"""Families by their name in recipes."""

__getattr__ = MODELS.class_named


def load_model(path: Path, *, device: str = "cpu") -> Model:
    """Read a model of any family that `Model.save` wrote.

    Raises:
        ModelError: if the file is missing or damaged, or its family is unknown.
    """
    family = read_model_file(path)[0]["family"]
    if family not in MODELS:
        raise ModelError(f"{path} holds a model of the family {family!r}; known are {', '.join(MODELS)}")
    return MODELS[family].load(path, device=device)


__all__ = [
    "HVAE",
    "IDCAE",
    "MODELS",
    "Autoencoder",
    "Classifier",
    "Freak",
    "Mahalanobis",
    "Model",
    "Neighbours",
    "Spectral",
    "load_model",
]
