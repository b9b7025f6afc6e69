"""A family of models: what it learns, scores and shows, what it costs, how it is exported. Its class says all."""

import inspect
from abc import ABC, abstractmethod
from collections.abc import Iterable, Mapping, Sequence
from itertools import chain
from typing import TYPE_CHECKING, Any, ClassVar, Self

import torch
from torch import Tensor, nn

from auscult.errors import ExportError, ModelError
from auscult.features.bank import Bank
from auscult.models.saved import filled
from auscult.training import History, Training

if TYPE_CHECKING:
    from auscult.clips import Known


class Family(nn.Module, ABC):
    """Base of `Model`: all that differs from family to family.

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
    keeps_clips: ClassVar[bool] = False
    """Whether it compares with the clips that it was trained on, so that its scores of these say nothing."""
    limits: ClassVar[Mapping[str, int]] = {}
    """Greatest arguments that a file from elsewhere may ask for, where a million is too many."""
    later: ClassVar[Mapping[str, Any]] = {}
    """Arguments that came after models were stored without them, with the value that leaves such a model as it was."""
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
        """The score of one clip `[N, F]`.

        Args:
            frames: of the clip.
            machine_id: whose clip it is.
            pooling: name of a pooling of frame scores, or none for the family's; none if the family has none.
            frame_rate: frames per second, where it is known.
        """

    def clip_maps(self, frames: Tensor, machine_id: str) -> dict[str, Tensor]:
        """Named maps `[N, F]` of one clip `[N, F]`, NaN where nothing was predicted; the first is the error map.

        If a family does not say which bins are to blame, each frame's score stands in all of them.
        """
        scores, first = self.clip_frame_scores(frames, machine_id), round(self.frame_offset)
        evidence = scores.new_full(frames.shape, torch.nan)
        evidence[first : first + len(scores)] = scores[:, None]
        return {"frame score": evidence}

    @classmethod
    def may_want_others(cls) -> bool:
        """Whether there are training clips with which `wants_others` is true."""
        return cls.wants_others is not Family.wants_others

    def wants_others(self, clips: "Sequence[Known]") -> bool:
        """Whether the model would learn from clips of other machine types, too, if the training clips are these."""
        return False

    def nearest(self, frames: Tensor, machine_id: str) -> int | None:
        """Place, among the clips that it learned from, of the one most like a clip `[N, F]`; none if unknown."""
        return None

    def lacks(self, clips: "Sequence[Known]", *, others: bool = False) -> str | None:
        """What training clips lack for the model to learn from them; none if they suffice.

        Args:
            clips: what is known of each.
            others: whether there are clips of other machine types, and the model wants them.
        """
        ids = {id_ for id_, *_ in clips}
        if not self.knows_ids or len(ids) > 1:
            return None
        return (
            f"training clips of {', '.join(ids)} alone, and {self.family} learns from the differences of at least two "
            "machine ids"
        )

    def check_features(self, config: Mapping[str, Any]) -> None:
        """Refuse features, by their configuration, on which the model is not defined.

        Raises:
            ModelError: if they are none for it.
        """

    # What a family with a network defines

    def build(self) -> None:
        """Make the networks; called once, when `ids` is known, with seeded random numbers."""

    def batches(self, frames: Tensor, bank: Bank, training: Training) -> Iterable[Any]:
        """The batches of one epoch, drawn with `self.generator` from the frames `[sum N, F]` on the device."""
        return ()

    def loss(self, batch: Any) -> dict[str, Tensor]:
        """Scalars by name; `"loss"` is minimised."""
        return {}

    def fit_scores(self, bank: Bank) -> None:
        """Set what the scores need after the training, from the same bank."""

    # What a family costs, and how it is exported

    @classmethod
    def learns_in_epochs(cls) -> bool:
        """Whether there is a loss; if not, all is learnt in one pass."""
        return cls.loss is not Family.loss

    def sample(self, training: Training, length: int) -> tuple[dict[str, Any], list[int]]:
        """On what the costs are measured.

        Args:
            training: its settings.
            length: frames of a usual clip.

        Returns:
            Arguments of a model that costs the same, and lengths of clips of noise to fit it to, in frames: of two
            machine ids in turn, and enough for a few batches.
        """
        return self.arguments, [length] * max(4, 2 * self.least_clips)

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
            machine: place of its machine id among the model's, -1 for one that is none of them, `[]` int64; it counts
                where `reads_id` says so.
        """
        raise NotImplementedError

    # What all share

    @classmethod
    def key_arguments(cls, arguments: Mapping[str, Any]) -> dict[str, Any]:
        """The constructor's arguments as a model's key in a store has them: what is as before has the key of before."""
        return {name: value for name, value in arguments.items() if cls.later.get(name, ...) != value}

    @property
    def arguments(self) -> dict[str, Any]:
        """The constructor's arguments."""
        return {name: getattr(self, name) for name in inspect.signature(type(self)).parameters}

    @property
    def reads_id(self) -> bool:
        """Whether the score of a clip depends on its machine id."""
        return self.knows_ids

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
        given = {**cls.later, **arguments}
        with torch.random.fork_rng(devices=[]):  # the weights that `build` draws are replaced
            model = filled(lambda: cls._built(given, ids), tensors, what)
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

    def place_of(self, machine_id: str) -> int:
        """The place of a machine id among the model's.

        Raises:
            ModelError: if it was not trained.
        """
        if machine_id not in self.ids:
            raise ModelError(
                f"{self.family}: the machine id {machine_id!r} was not trained; known are {', '.join(self.ids)}. "
                "Score clips of these, or train with normal clips of the new machine too"
            )
        return self.ids.index(machine_id)

    def _clips(self, bank: Bank) -> "Iterable[tuple[Tensor, str]]":
        device = self.device
        for index in range(bank.n_clips):
            yield torch.tensor(bank.clip(index), device=device), bank.ids[index]
