"""The model: learns from normal frames, scores clips, shows where it heard what. Higher is more abnormal."""

import threading
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import Any, Self, overload

import numpy as np
import torch
from numpy.typing import ArrayLike, NDArray
from torch import Tensor, nn

from auscult.errors import ModelError
from auscult.features.bank import Bank, bank_of
from auscult.models.family import Family
from auscult.models.saved import read_model_file, write_model_file
from auscult.training import Training, generator_of, seed_of, train

Array = NDArray[np.float64]

_BUILDING = threading.Lock()
"""Held while networks draw their weights from torch's own generator, which all threads share."""


class Model(Family):
    """Base of all models: fit, score, explain, save, load; what makes a family is in `Family`."""

    def fit(
        self,
        features: "ArrayLike | Bank",
        machine_ids: Sequence[str] = (),
        *,
        training: Training | None = None,
        member: str | None = None,
        checkpoint: Path | None = None,
        on_epoch: Callable[[int, dict[str, float]], None] | None = None,
    ) -> Self:
        """Learn what is normal.

        Args:
            features: a bank, or clips `[C, N, F]`, or a sequence of `[N, F]` of any lengths.
            machine_ids: `[C]`; a bank has its own.
            training: the settings; the family's defaults if none are given.
            member: name of this model among others: part of every seed, so that one member's random numbers do not
                depend on what else is trained. The family's name if none is given.
            checkpoint: a file to resume from and to write to.
            on_epoch: called with the number of epochs done and their newest losses.

        Raises:
            ModelError: if the features do not fit the model.
            TrainingError: if the loss is no finite number.
        """
        training = training or self.default_training
        member = member or self.family
        bank = self.checked(features, machine_ids)
        frames = torch.tensor(bank.frames, device=training.device)
        self.prepare(frames, bank, training=training, member=member)

        def batches(epoch: int) -> Iterable[Any]:
            self.generator = generator_of(training.seed, member, epoch, device=training.device)
            return self.batches(frames, bank, training)

        if self.learns_in_epochs():  # a model without networks has learnt all it can from the statistics
            self.history = train(
                self, batches, training=training, member=member, checkpoint=checkpoint, on_epoch=on_epoch
            )
        return self.finish(bank)

    def prepare(self, frames: Tensor, bank: Bank, *, training: Training, member: str) -> None:
        """What comes before the training: networks with the member's weights, statistics of the frames `[sum N, F]`."""
        self.fitted = False
        self.ids = tuple(sorted(set(bank.ids)))
        with _BUILDING, torch.random.fork_rng(devices=[]):
            torch.default_generator.manual_seed(seed_of(training.seed, member, "weights"))
            self.build()
        place(self, training.device)
        self.generator = generator_of(training.seed, member, "statistics")
        self.fit_statistics(frames, bank)

    def finish(self, bank: Bank) -> Self:
        """What comes behind the training: all that the scores need."""
        if self.device.type == "mps":
            self.to("cpu")  # the scores need float64
        self.eval()
        with torch.no_grad():  # what inference mode makes could not be loaded into again
            self.fit_scores(bank)
        self.fitted = True
        return self

    def score_clips(
        self, features: "ArrayLike | Bank", machine_ids: Sequence[str] = (), *, pooling: str | None = None
    ) -> Array:
        """Score clips; higher is more abnormal.

        Args:
            features: a bank, or clips `[C, N, F]`, or a sequence of `[N, F]`.
            machine_ids: `[C]`; a bank has its own.
            pooling: name of the pooling of frame scores (`auscult.scores.pooling.POOLINGS`), for families that pool.

        Returns:
            `[C]` float64.
        """
        bank = self.checked(features, machine_ids, fitted=True)
        if pooling is not None and self.default_pooling is None:
            raise ModelError(
                f"{self.family}: the score is defined on the whole clip, so pooling {pooling!r} cannot be applied; "
                "leave it out"
            )
        with torch.inference_mode():
            return np.array(
                [self.clip_score(frames, id_, pooling, bank.frame_rate) for frames, id_ in self._clips(bank)],
                dtype=np.float64,
            )

    @overload
    def frame_scores(self, features: NDArray[Any], machine_ids: Sequence[str]) -> Array: ...
    @overload
    def frame_scores(self, features: "Sequence[ArrayLike] | Bank", machine_ids: Sequence[str] = ()) -> list[Array]: ...
    def frame_scores(self, features: Any, machine_ids: Sequence[str] = ()) -> Array | list[Array]:
        """Score every frame, or window of frames.

        Returns:
            `[C, N']` for an array of clips, else a list of `[N']`; `N' = N - context + 1` for models with a context.
        """
        bank = self.checked(features, machine_ids, fitted=True)
        with torch.inference_mode():
            scores = [_array(self.clip_frame_scores(frames, id_)) for frames, id_ in self._clips(bank)]
        return np.stack(scores) if isinstance(features, np.ndarray) else scores

    @overload
    def error_map(self, features: NDArray[Any], machine_ids: Sequence[str]) -> Array: ...
    @overload
    def error_map(self, features: "Sequence[ArrayLike] | Bank", machine_ids: Sequence[str] = ()) -> list[Array]: ...
    def error_map(self, features: Any, machine_ids: Sequence[str] = ()) -> Array | list[Array]:
        """Where in time and frequency the model heard the unexpected.

        Returns:
            `[C, N, F]` for an array of clips, else a list of `[N, F]`; NaN where nothing was predicted.
        """
        bank = self.checked(features, machine_ids, fitted=True)
        maps = [next(iter(self.maps(bank.clip(i), bank.ids[i]).values())) for i in range(bank.n_clips)]
        return np.stack(maps) if isinstance(features, np.ndarray) else maps

    def maps(self, frames: ArrayLike, machine_id: str) -> dict[str, Array]:
        """All named maps `[N, F]` of one clip `[N, F]`, the error map first: the evidence for its score."""
        bank = self.checked([frames], [machine_id], fitted=True)
        with torch.inference_mode():
            clip, id_ = next(iter(self._clips(bank)))
            return {name: _array(values) for name, values in self.clip_maps(clip, id_).items()}

    def nearest_clip(self, frames: ArrayLike, machine_id: str) -> int | None:
        """Place, among the clips that it was fitted to, of the one most like a clip `[N, F]`; none if it keeps none."""
        bank = self.checked([frames], [machine_id], fitted=True)
        with torch.inference_mode():
            return self.nearest(*next(iter(self._clips(bank))))

    def save(self, path: Path) -> None:
        """Write family, arguments, ids, history and tensors to one safetensors file, by way of a temporary name."""
        self._require_fitted()
        facts = {"family": self.family, "arguments": self.arguments, "ids": self.ids, "history": self.history}
        write_model_file(path, facts, self.state_dict())

    @classmethod
    def load(cls, path: Path, *, device: str = "cpu") -> Self:
        """Read what `save` wrote.

        Raises:
            ModelError: if the file is missing, damaged, of another family or of a newer format.
        """
        metadata, tensors = read_model_file(path)
        if metadata["family"] != cls.family:
            raise ModelError(f"{path} holds a model of the family {metadata['family']!r}; {cls.family!r} was asked for")
        model = cls.rebuilt(
            metadata["arguments"], metadata["ids"], tensors, what=f"{path} is damaged: it is a model", device=device
        )
        model.history = metadata["history"]
        return model

    def checked(self, features: Any, machine_ids: Sequence[str], *, fitted: bool = False) -> Bank:
        """The features as a bank.

        Raises:
            ModelError: if they do not fit the model, or if it is to be fitted and is not.
        """
        bank = bank_of(features, machine_ids)
        if fitted:
            self._require_fitted()
        if bank.n_bins != self.n_bins:
            raise ModelError(
                f"{self.family}: the frames have {bank.n_bins} bins; the model was made for {self.n_bins}. "
                "Give features of that width or make the model with n_bins of theirs"
            )
        if (short := int(bank.lengths.min())) < self.frame_context:
            raise ModelError(
                f"{self.family}: clip {int(bank.lengths.argmin())} has {short} frames; the model needs at least "
                f"{self.frame_context}. Leave out the clip or make a model that needs fewer frames"
            )
        return bank

    def _require_fitted(self) -> None:
        if not self.fitted:
            raise ModelError(f"{self.family}: the model knows no machine yet; call fit or load first")


def place(module: nn.Module, device: str) -> None:
    """Move a module to the device on which it trains; what is float64 stays behind where the device has no float64."""
    without = torch.device(device).type == "mps"

    def move(tensor: Tensor) -> Tensor:
        return tensor if without and tensor.dtype == torch.float64 else tensor.to(device)

    module._apply(move)  # type: ignore[no-untyped-call]  # torch gives no hints for what `Module.to` is made of


def _array(tensor: Tensor) -> Array:
    return tensor.double().cpu().numpy()
