"""Models: each learns what is normal and scores what is not."""

from pathlib import Path

from auscult.errors import ModelError
from auscult.models.autoencoder import Autoencoder
from auscult.models.base import Model
from auscult.models.freak import Freak
from auscult.models.hvae import HVAE
from auscult.models.idcae import IDCAE
from auscult.models.saved import read_model_file
from auscult.models.spectral import Spectral

MODELS: dict[str, type[Model]] = {
    "autoencoder": Autoencoder,
    "spectral": Spectral,
    "hvae": HVAE,
    "idcae": IDCAE,
    "freak": Freak,
}
"""Families by their name in recipes."""


def load_model(path: Path, *, device: str = "cpu") -> Model:
    """Read a model of any family that `Model.save` wrote.

    Raises:
        ModelError: if the file is missing or damaged, or its family is unknown.
    """
    family = read_model_file(path)[0]["family"]
    if family not in MODELS:
        raise ModelError(f"{path} holds a model of the family {family!r}; known are {', '.join(MODELS)}")
    return MODELS[family].load(path, device=device)


__all__ = ["HVAE", "IDCAE", "MODELS", "Autoencoder", "Freak", "Model", "Spectral", "load_model"]
