"""The model: learns from normal frames, scores clips, shows where it heard what. Higher is more abnormal."""

import inspect
import threading
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable, Mapping, Sequence
from itertools import chain
from pathlib import Path
from typing import Any, ClassVar, Self, overload

import numpy as np
import torch
from numpy.typing import ArrayLike, NDArray
from torch import Tensor, nn

from auscult.errors import ExportError, ModelError
from auscult.features.bank import Bank, bank_of
from auscult.models.saved import filled, read_model_file, write_model_file
from auscult.training import History, Training, generator_of, seed_of, train

Array = NDArray[np.float64]

_BUILDING = threading.Lock()
"""Held while networks draw their weights from torch's own generator, which all threads share."""


class Model(nn.Module, ABC):
    """Base of all models: fit, score, explain, save, load.

    The constructor is the configuration: every argument is kept as an attribute of its name. A model owns what it needs
    to be right, its normalisation as buffers and its ids by name; a saved model is family, arguments, ids and tensors.
    A buffer that the constructor makes with an axis of length 0 may have any length there: what a model keeps of the
    clips that it learned from.

    A simple family has three methods: `fit_statistics`, `clip_frame_scores` and `clip_score`; one with a network has
    `build`, `batches` and `loss` as well. All that others need to know of a family its class says.

    Attributes:
        family: name in recipes.
        default_training: the report's settings.
        ids: the machine ids that the model was fitted to, in order.
        fitted: whether it can score.
        history: one entry per epoch of training.
    """

    family: ClassVar[str]
    default_training: ClassVar[Training] = Training(epochs=1)
    default_pooling: ClassVar[str | None] = None
    """Pooling of frame scores if none is named; none for families that define their score on the clip."""
    knows_ids: ClassVar[bool] = False
    """Whether only clips of ids that were trained can be scored."""
    free_arguments: ClassVar[frozenset[str]] = frozenset()
    """Arguments that cost next to no time: models that differ in these alone are measured once."""
    frame_context: int = 1
    """Frames that one prediction needs: the shortest clip that can be scored."""
    least_clips: int = 1
    """Clips that it needs to learn from."""

    def __init__(self, *, n_bins: int) -> None:
        super().__init__()
        if not isinstance(n_bins, int) or n_bins < 1:
            raise ModelError(f"{self.family}: n_bins is {n_bins!r}; it must be a whole number of at least 1")
        self.n_bins = n_bins
        self.ids: tuple[str, ...] = ()
        self.fitted = False
        self.history: History = []
        self.generator: torch.Generator | None = None

    # What a family defines

    @abstractmethod
    def fit_statistics(self, frames: Tensor, bank: Bank) -> None:
        """Set what is known before the training, such as the normalisation, from the frames `[sum N, F]`.

        A model without networks learns all it can here, with `self.generator` where it needs random numbers.
        """

    @abstractmethod
    def clip_frame_scores(self, frames: Tensor, machine_id: str) -> Tensor:
        """Frame scores `[N']` of one clip `[N, F]`."""

    @abstractmethod
    def clip_score(self, frames: Tensor, machine_id: str, pooling: str | None, frame_rate: float | None) -> float:
        """The score of one clip `[N, F]`."""

    def clip_maps(self, frames: Tensor, machine_id: str) -> dict[str, Tensor]:
        """Named maps `[N, F]` of one clip `[N, F]`, NaN where nothing was predicted; the first is the error map.

        If a family does not say which bins are to blame, each frame's score stands in all of them.
        """
        scores, first = self.clip_frame_scores(frames, machine_id), round(self.frame_offset)
        evidence = scores.new_full(frames.shape, torch.nan)
        evidence[first : first + len(scores)] = scores[:, None]
        return {"frame score": evidence}

    def check_features(self, config: Mapping[str, Any]) -> None:  # most take any
        """Refuse features, by their configuration, on which the model is not defined.

        Raises:
            ModelError: if they are none for it.
        """

    # What a family with a network defines

    def build(self) -> None:  # nothing is to be made where there is no network
        """Make the networks; called once, when `ids` is known, with seeded random numbers."""

    def batches(self, frames: Tensor, bank: Bank, training: Training) -> Iterable[Any]:
        """The batches of one epoch, drawn with `self.generator` from the frames `[sum N, F]` on the device."""
        return ()

    def loss(self, batch: Any) -> dict[str, Tensor]:
        """Scalars by name; `"loss"` is minimised."""
        return {}

    def fit_scores(self, bank: Bank) -> None:  # most have learnt all before
        """Set what the scores need after the training, from the same bank."""

    # What a family costs, and how it is exported

    @classmethod
    def learns_in_epochs(cls) -> bool:
        """Whether there is a loss; if not, all is learnt in one pass."""
        return cls.loss is not Model.loss

    def sample(self, training: Training, length: int) -> tuple[dict[str, Any], list[int]]:
        """On what the costs are measured.

        Args:
            training: its settings.
            length: frames of a usual clip.

        Returns:
            Arguments of a model that costs the same, and lengths of clips of noise to fit it to, in frames: of two
            machine ids in turn, and enough for a few batches.
        """
        return self.arguments, [length] * 4

    def epoch_units(self, *, clips: int, frames: int, shortest: int) -> float:
        """What one pass over training clips costs, in units that take equally long: here frames.

        Args:
            clips: how many.
            frames: of all of them.
            shortest: frames of the shortest.
        """
        return frames

    def scoring_units(self, *, clips: int, frames: int, trained_clips: int) -> float:
        """What the scoring of clips costs, in units that take equally long: here frames.

        Args:
            clips: how many.
            frames: of all of them.
            trained_clips: on how many the model was trained.
        """
        return frames

    def plain(self) -> Self:
        """A copy for ONNX that shares the weights, and whose `plain_scores` can be exported.

        Raises:
            ExportError: if the family is not exported, as here.
        """
        raise ExportError(f"the family {self.family} is not exported; leave such members out of the detector")

    def plain_scores(self, frames: Tensor, machine: Tensor) -> Tensor:
        """The score `[]` of a clip `[N, F]`, for families that pool those of its frames `[N']`, as ONNX can say it.

        Args:
            frames: of the clip.
            machine: place of its machine id among the model's, `[]` int64.
        """
        raise NotImplementedError

    # What all share

    @property
    def arguments(self) -> dict[str, Any]:
        """The constructor's arguments."""
        return {name: getattr(self, name) for name in inspect.signature(type(self)).parameters}

    @property
    def frame_offset(self) -> float:
        """The frame, counted from 0, on which the first frame score is centred."""
        return (self.frame_context - 1) / 2

    @property
    def n_parameters(self) -> int:
        """Number of trained parameters."""
        return sum(parameter.numel() for parameter in self.parameters())

    @property
    def device(self) -> torch.device:
        """Where the model is."""
        return next((tensor.device for tensor in chain(self.parameters(), self.buffers())), torch.device("cpu"))

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

    @classmethod
    def rebuilt(
        cls,
        arguments: Mapping[str, Any],
        ids: Sequence[str],
        tensors: Mapping[str, Tensor],
        *,
        what: str,
        device: str = "cpu",
    ) -> Self:
        """A fitted model from what was saved of it; never larger than the tensors.

        Args:
            arguments: of the constructor.
            ids: that it was fitted to.
            tensors: all of them, by name.
            what: names the model in messages.
            device: where it is to score.

        Raises:
            ModelError: for tensors that do not fit the arguments.
        """
        with torch.random.fork_rng(devices=[]):  # the weights that `build` draws are replaced
            model = filled(lambda: cls._built(arguments, ids), tensors, what)
        model.fitted = True
        return model.to("cpu" if device.startswith("mps") else device).eval()

    @classmethod
    def outlined(cls, arguments: Mapping[str, Any], ids: Sequence[str]) -> Self:
        """A model with all its shapes and without memory, to ask it what it would be."""
        with torch.device("meta"):
            return cls._built(arguments, ids)

    @classmethod
    def _built(cls, arguments: Mapping[str, Any], ids: Sequence[str]) -> Self:
        model = cls(**arguments)
        model.ids = tuple(ids)
        model.build()
        return model

    def _clips(self, bank: Bank) -> "Iterable[tuple[Tensor, str]]":
        device = self.device
        for index in range(bank.n_clips):
            yield torch.tensor(bank.clip(index), device=device), bank.ids[index]

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
