"""How an audio model is trained: settings of one member, checked where they are made."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, fields, replace
from pathlib import Path
from typing import Any, Final, Literal

from audio_model.backbone_network import BackboneNetworkConfiguration
from audio_model.examples import Augmentation
from audio_model.heads import DATASET_HEADS, LABEL_SETS, labels_for
from audio_model.lightning_run import PRECISIONS, Precision
from audio_model.log_mel import MelConfiguration
from audio_model.network import NetworkConfiguration
from audio_model.pitch import PitchConfiguration
from audio_model.tag_embedding import embedding_configuration
from audio_model.windows import TEN_SECONDS, FrontEnd, WindowConfiguration
from data_prep.errors import InputError
from data_prep.model_folder import configuration_hash

Balance = Literal["none", "weights"]
BALANCES: Final[tuple[Balance, ...]] = ("none", "weights")


@dataclass(frozen=True)
class TrainingConfiguration:
    """How a member is trained.

    Attributes
    ----------
    datasets
        Data set → its label set. One labelled with the six (or with the distributions
        of another model) has no native head.
    shares
        Windows of each data set in a batch.
    n_epochs, batches_per_epoch
        Length of the training.
    learning_rate, weight_decay
        Of AdamW; the rate rises over the first tenth and falls as a cosine.
    six_weight
        Weight of the loss of the shared head against the native one.
    emotify_weight
        Weight of the loss of soft scales, whose targets give small gradients.
    source_weight
        Weight of the loss of telling which label set a window is of.
    label_smoothing
        Of the native classes and the sources.
    balance
        ``"weights"`` weighs each label of a data set by the inverse of its frequency.
    precision
        ``"auto"`` is bf16 where the machine computes in it.
    workers
        Processes that make batches; for recordings that are read from a large store.
    network
        Our own network, or one around a backbone.
    augmentation
        How windows are varied.
    front_end
        What windows are made with.
    """

    datasets: dict[str, str] = field(default_factory=lambda: dict(DATASET_HEADS))
    shares: dict[str, int] = field(
        default_factory=lambda: {"ravdess_song": 24, "emotify": 16, "emopia": 24}
    )
    n_epochs: int = 10
    batches_per_epoch: int = 40
    learning_rate: float = 2e-3
    weight_decay: float = 0.1
    six_weight: float = 0.5
    emotify_weight: float = 5.0
    source_weight: float = 0.1
    label_smoothing: float = 0.05
    balance: Balance = "none"
    precision: Precision = "32"
    workers: int = 0
    network: NetworkConfiguration | BackboneNetworkConfiguration = field(
        default_factory=NetworkConfiguration
    )
    augmentation: Augmentation = field(default_factory=Augmentation)
    front_end: FrontEnd = TEN_SECONDS

    def __post_init__(self) -> None:
        if not self.shares or set(self.shares) - set(self.datasets):
            raise InputError(
                f"training settings do not fit: shares of {', '.join(self.shares) or 'nothing'}, "
                f"expected some of {', '.join(self.datasets)}"
            )
        unknown = set(self.datasets.values()) - set(LABEL_SETS)
        if unknown:
            raise InputError(
                f"label set {sorted(unknown)[0]!r} is not one of recordings: expected "
                f"{', '.join(LABEL_SETS)}"
            )
        if min(self.n_epochs, self.batches_per_epoch, *self.shares.values()) <= 0:
            raise InputError(
                f"training settings must be positive: {self.n_epochs} epochs of "
                f"{self.batches_per_epoch} batches of {self.shares}"
            )
        losses = (self.six_weight, self.emotify_weight, self.source_weight)
        weights = (self.learning_rate, self.weight_decay, self.label_smoothing, *losses)
        if not self.learning_rate > 0 or not all(math.isfinite(w) and w >= 0 for w in weights):
            raise InputError(
                f"learning rate {self.learning_rate:g}: expected a number above 0, and weights "
                "(of decay, losses and smoothing) of 0 or more"
            )
        if self.balance not in BALANCES or self.precision not in PRECISIONS:
            raise InputError(
                f"balance {self.balance!r} or precision {self.precision!r} is unknown: expected "
                f"{', '.join(BALANCES)} and {', '.join(PRECISIONS)}"
            )
        shapes = self.front_end.input_shapes
        own = self.network
        fits = own.n_mels == shapes["log_mel"][0]
        if isinstance(own, NetworkConfiguration):
            fits = fits and own.input_shapes == shapes
        if not fits:
            raise InputError(
                f"the network does not fit windows of "
                f"{', '.join(f'{name} {shape}' for name, shape in shapes.items())}: {own}"
            )

    @property
    def labels(self) -> dict[str, list[str]]:
        """Heads of the network, each with its labels, in the order of the logits."""
        return labels_for(self.datasets[name] for name in self.datasets if name in self.shares)

    @property
    def hash(self) -> str:
        """Hash of the settings; a run of other settings does not resume this one.

        Which processes make batches decides nothing of them.
        """
        settings = asdict(self)
        del settings["workers"]
        return configuration_hash(settings)

    @property
    def start(self) -> Path | None:
        """Folder of the pretrained backbone that the network starts from, if it does."""
        if isinstance(self.network, NetworkConfiguration) or not self.network.start:
            return None
        return Path(self.network.start)

    def only(self, dataset: str) -> TrainingConfiguration:
        """The same training on one data set alone, with batches as large."""
        return replace(
            self,
            datasets={dataset: self.datasets[dataset]},
            shares={dataset: sum(self.shares.values())},
        )

    def as_dict(self) -> dict[str, Any]:
        """As it lies beside the weights; :func:`configuration_from` reads it."""
        kind = "sound" if isinstance(self.network, NetworkConfiguration) else "backbone"
        content = asdict(self)
        content["network"]["kind"] = kind
        return content


def configuration_from(content: Mapping[str, Any]) -> TrainingConfiguration:
    """What :meth:`TrainingConfiguration.as_dict` wrote; keys that are no setting are left out.

    Raises
    ------
    InputError
        If a setting is missing or unknown.
    """
    try:
        own = dict(content["network"])
        network: NetworkConfiguration | BackboneNetworkConfiguration
        if own.pop("kind") == "sound":
            network = NetworkConfiguration(**{**own, "channels": tuple(own["channels"])})
        else:
            network = BackboneNetworkConfiguration(**own)
        made = content["front_end"]
        pitch = made["pitch"]
        front_end = FrontEnd(
            MelConfiguration(**made["log_mel"]),
            None if pitch is None else PitchConfiguration(**pitch),
            WindowConfiguration(**made["windows"]),
            embedding_configuration(made.get("embedding")),
        )
        names = {one.name for one in fields(TrainingConfiguration)}
        plain = {k: v for k, v in content.items() if k in names - {"network", "front_end"}}
        plain["augmentation"] = Augmentation(**plain["augmentation"])
        return TrainingConfiguration(network=network, front_end=front_end, **plain)
    except (KeyError, TypeError) as error:
        raise InputError(
            f"the configuration of a training does not fit this version ({error}): train again"
        ) from error
