"""Importer of the DCASE 2020 Task 2 baseline: its Keras file becomes our auto-encoder."""

import json
from pathlib import Path

import torch
from torch import Tensor

from auscult.errors import ModelError
from auscult.features.weights import Layer, keras_layer
from auscult.models.autoencoder import Autoencoder


def load_keras_baseline(path: Path, *, n_bins: int = 128, machine_ids: tuple[str, ...] = ("unknown",)) -> Autoencoder:
    """Read a trained baseline from the HDF5 file that Keras 2 wrote.

    Args:
        path: the file, for instance `model_ToyCar.hdf5`.
        n_bins: mel bins of its features; the context follows from the width of its input.
        machine_ids: what it was trained on, which the file does not say.

    Raises:
        ModelError: if the file cannot be read, or its layers are not the baseline's.
    """
    import h5py

    try:
        with h5py.File(path, "r") as file:
            layers = json.loads(file.attrs["model_config"])["config"]["layers"]
            names = [layer["config"]["name"] for layer in layers]
            weights = {name: keras_layer(file["model_weights"][name]) for name in names}
    except (OSError, KeyError, ValueError) as error:
        raise ModelError(f"{path} is no Keras 2 model ({error}); give the baseline's .hdf5 file") from error
    dense = [weights[layer["config"]["name"]] for layer in layers if layer["class_name"] == "Dense"]
    norms = [layer["config"] for layer in layers if layer["class_name"] == "BatchNormalization"]
    kinds = [layer["class_name"] for layer in layers if layer["class_name"] != "InputLayer"]
    if kinds != ["Dense", "BatchNormalization", "Activation"] * (len(dense) - 1) + ["Dense"] or len(dense) % 2:
        raise ModelError(f"{path} has the layers {kinds}; the baseline repeats Dense, BatchNormalization, Activation")
    widths = [int(layer["kernel"].shape[1]) for layer in dense]
    n_values, half = int(dense[0]["kernel"].shape[0]), len(dense) // 2 - 1
    hidden, n_latent = widths[:half], widths[half]
    if n_values % n_bins or widths != [*hidden, n_latent, *reversed(hidden), n_values]:
        raise ModelError(
            f"{path} has the widths {[n_values, *widths]}; the baseline mirrors its encoder and its input is a "
            f"multiple of n_bins, {n_bins}"
        )
    model = Autoencoder(n_bins, context=n_values // n_bins, hidden=hidden, n_latent=n_latent)
    model.ids, model.fitted = machine_ids, True
    model.build()
    state = _state(dense, [(norm["epsilon"], weights[norm["name"]]) for norm in norms])
    model.load_state_dict(model.state_dict() | state)
    return model.eval()


def _state(dense: list[Layer], norms: list[tuple[float, Layer]]) -> dict[str, Tensor]:
    """The state of our network: dense layers stand at 0, 3, 6, ..., the norms behind them."""
    state: dict[str, Tensor] = {}
    for index, layer in enumerate(dense):
        state[f"network.{3 * index}.weight"] = torch.from_numpy(layer["kernel"].T.copy())
        state[f"network.{3 * index}.bias"] = torch.from_numpy(layer["bias"])
    for index, (epsilon, norm) in enumerate(norms):
        place = f"network.{3 * index + 1}"
        ours = 1e-3  # our epsilon; another one is moved into the variance, which is exact
        state[f"{place}.weight"] = torch.from_numpy(norm["gamma"])
        state[f"{place}.bias"] = torch.from_numpy(norm["beta"])
        state[f"{place}.running_mean"] = torch.from_numpy(norm["moving_mean"])
        state[f"{place}.running_var"] = torch.from_numpy(norm["moving_variance"]) + (epsilon - ours)
    return state
