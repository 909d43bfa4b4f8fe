"""From trained members to a model folder.

``export`` joins the members into one ONNX file, checks that onnxruntime gives
what torch gives, and fits the branch's temperature and prior on out-of-fold
answers: each clip answered by the member that never heard its fold.
"""

from __future__ import annotations

import shutil
import tempfile
import warnings
from collections.abc import Callable, Mapping, Sequence
from itertools import chain
from pathlib import Path
from typing import Any, Final, cast

import numpy as np
import torch
from numpy.typing import NDArray

from audio_model.backbone_network import BackboneMembers, BackboneNetwork
from audio_model.embedding_cache import network_path
from audio_model.folds import clip_fold
from audio_model.heads import (
    DATASET_HEADS,
    SIX,
    SOURCE,
    group_matrix,
    group_shares,
    head_slices,
    probabilities,
    served_six,
)
from audio_model.member_training import EmotionNetwork
from audio_model.network import Members, SoundNetwork
from audio_model.recording import Recording
from audio_model.training import (
    EMBEDDED_RUN,
    N_MEMBERS,
    SIX_WEIGHT,
    load_member,
    member_paths,
    read_pretraining,
    run_folder,
    weights_path,
)
from audio_model.training_configuration import TrainingConfiguration
from audio_model.training_recordings import RecordingSources
from audio_model.windows import TEN_SECONDS, FrontEnd, Windows
from data_prep.errors import InputError, MissingDataError, ModelFolderError
from data_prep.model_folder import (
    EMBEDDING_NAME,
    NETWORK_NAME,
    ModelCard,
    TrainingData,
    checkout_commit,
    write_card,
)
from data_prep.onnx_network import open_network
from data_prep.taxonomy import N_EMOTIONS

AllMembers = Members | BackboneMembers

NAME: Final = "maeum sound network 3"
MUSICNN_DATA: Final = TrainingData(
    "musicnn 0.1.0 (Pons & Serra 2019), frozen",
    "ISC",
    241_904,
    "published weights of a tagger, which learned from listeners' tags of the Million Song Dataset",
)
_TOLERANCE: Final = 0.02  # of logits, torch against onnxruntime with weights of 16 bits
_LARGE: Final = 1_024  # elements; smaller constants stay as they are


def head_weights(labels: Mapping[str, Sequence[str]]) -> dict[str, float]:
    """As a card has them: the share of the head ``six`` alone, and of the native ones, which
    the head ``source`` divides."""
    native = [head for head in labels if head not in (SIX, SOURCE)]
    if not native:
        return {SIX: 1.0}
    each = (1.0 - SIX_WEIGHT) / len(native)
    weights = {head: round(each, 6) for head in native} | {SIX: SIX_WEIGHT}
    return {head: weights.get(head, 0.0) for head in labels}


def joined(members: list[list[EmotionNetwork]]) -> AllMembers:
    """All members as one network; each member's logits are the mean of its networks'."""
    if isinstance(members[0][0], SoundNetwork):
        return Members(cast(Sequence[Sequence[SoundNetwork]], members)).eval()
    return BackboneMembers(cast(list[list[BackboneNetwork]], members)).eval()


def write_network(network: AllMembers, path: Path, front_end: FrontEnd = TEN_SECONDS) -> None:
    """Write the ONNX file: the front end's inputs, each (batch, …) → ``logits`` (batch,
    n_members, n_logits)."""
    network.eval()
    names = list(front_end.input_shapes)
    example = {name: torch.zeros(2, *shape) for name, shape in front_end.input_shapes.items()}
    with warnings.catch_warnings():
        # the tracing exporter is on its way out of torch, but takes 2 s where the other takes
        # minutes for several members
        warnings.simplefilter("ignore")
        torch.onnx.export(
            network,
            (example,),
            str(path),
            input_names=names,
            output_names=["logits"],
            dynamic_axes={name: {0: "batch"} for name in (*names, "logits")},
            dynamo=False,
            opset_version=18,
        )


def halve_weights(path: Path) -> None:
    """Store the large weights of an ONNX file in 16 bits; they are widened when it is loaded.

    The waves of the modulation spectrum stay at 32 bits: what they measure is small
    beside the signal they are multiplied with.
    """
    import onnx
    from onnx import helper, numpy_helper

    model = onnx.load(str(path))
    kept, casts = [], []
    for constant in model.graph.initializer:
        values = numpy_helper.to_array(constant)
        if values.dtype != np.float32 or values.size < _LARGE or "waves" in constant.name:
            kept.append(constant)
            continue
        half = f"{constant.name}.half"
        kept.append(numpy_helper.from_array(values.astype(np.float16), half))
        casts.append(helper.make_node("Cast", [half], [constant.name], to=onnx.TensorProto.FLOAT))
    nodes = [*casts, *model.graph.node]
    del model.graph.initializer[:], model.graph.node[:]
    model.graph.initializer.extend(kept)
    model.graph.node.extend(nodes)
    onnx.save(model, str(path))


def _check_network(network: AllMembers, path: Path, window: Windows, names: Sequence[str]) -> None:
    (served,) = open_network(path).run(None, {name: getattr(window, name) for name in names})
    with torch.no_grad():
        expected = network(*map(torch.from_numpy, window)).numpy()
    worst = float(np.abs(served - expected).max())
    if not worst < _TOLERANCE:
        raise ModelFolderError(
            f"{path}: onnxruntime differs from torch by {worst:.2g} (allowed {_TOLERANCE:g})"
        )


def _write_embedding(work: Path, folder: Path) -> None:
    """Put the network of the embedding beside the other one, its weights in 16 bits."""
    source = network_path(work)
    if not source.is_file():
        raise MissingDataError(f"{source} is missing: run `maeum prepare audio --tagger` first")
    shutil.copyfile(source, folder / EMBEDDING_NAME)
    halve_weights(folder / EMBEDDING_NAME)


def cross_answers(
    network: AllMembers,
    clips: Sequence[Recording],
    folds: Sequence[int],
    configuration: TrainingConfiguration,
) -> tuple[list[Recording], NDArray[np.float32]]:
    """Probabilities of all heads for each clip by the member that never heard it.

    Parameters
    ----------
    network
        All members.
    folds
        The fold that each member never heard.

    Returns
    -------
    The clips of these folds, and an array (n_clips, n_logits).

    Raises
    ------
    InputError
        If there is no clip in these folds.
    """
    slices = head_slices(configuration.labels)
    kept: list[Recording] = []
    found: list[NDArray[np.float32]] = []
    with torch.no_grad():
        for clip in clips:
            fold = clip_fold(clip)
            if fold not in folds:
                continue
            logits = network(*map(torch.from_numpy, clip.windows(configuration.front_end)))
            kept.append(clip)
            answer = probabilities(logits[:, folds.index(fold)].numpy(), slices)
            found.append(answer.mean(axis=0))
    if not kept:
        raise InputError(
            f"no recording is in fold {', '.join(map(str, folds))}, which the members did not "
            "hear: train those of other folds as well"
        )
    return kept, np.stack(found)


def fit_temperature(
    clips: Sequence[Recording],
    six: NDArray[np.float32],
    datasets: Mapping[str, str] = DATASET_HEADS,
) -> float:
    """Temperature that gives the labels their highest likelihood, every data set counting alike.

    A clip's label is compared over what it tells apart: groups of emotions, within
    the emotions its data set knows.
    """
    temperatures = np.geomspace(0.4, 3.0, 60).tolist()
    losses = []
    for temperature in temperatures:
        sharpened = np.power(np.maximum(six, 1e-9), 1.0 / temperature)
        by_dataset: dict[str, list[float]] = {}
        for clip, row in zip(clips, sharpened, strict=True):
            groups = group_matrix(datasets[clip.dataset])
            mass = groups @ row
            share = mass / row[groups.sum(axis=0) > 0].sum()
            target = group_shares(datasets[clip.dataset], clip.shares)
            used = target > 0
            loss = -float(np.sum(target[used] * np.log(np.maximum(share[used], 1e-9))))
            by_dataset.setdefault(clip.dataset, []).append(loss)
        losses.append(np.mean([np.mean(values) for values in by_dataset.values()]))
    return float(temperatures[int(np.argmin(losses))])


def _prior(clips: Sequence[Recording], six: NDArray[np.float32]) -> list[float]:
    """Mean answer, every data set counting alike."""
    total = np.zeros(N_EMOTIONS)
    datasets = {clip.dataset for clip in clips}
    for dataset in datasets:
        chosen = [i for i, clip in enumerate(clips) if clip.dataset == dataset]
        total += six[chosen].mean(axis=0)
    return [round(float(p), 6) for p in total / total.sum()]


def _training_data(
    clips: Sequence[Recording], pretraining: Mapping[str, Any], *, embedding: bool
) -> list[TrainingData]:
    from data_prep.readers import emopia, emotify, ravdess_song

    licences = {
        "ravdess_song": (ravdess_song.LICENCE, "RAVDESS song", "six sung emotions"),
        "emotify": (emotify.LICENCE, "Emotify", "nine GEMS scales, means of the raters"),
        "emopia": (
            emopia.LICENCE,
            "EMOPIA, train split, rendered from MIDI",
            "four quadrants",
        ),
    }
    unknown = ("not stated", "", "recordings of one's own")
    found = []
    for dataset in dict.fromkeys(clip.dataset for clip in clips):
        rows = sum(1 for c in clips if c.dataset == dataset and clip_fold(c) is not None)
        licence, name, use = licences.get(dataset, unknown)
        found.append(TrainingData(name or dataset, licence, rows, use))
    left_out = pretraining.get("held_out_fold")
    folds = "every fold" if left_out is None else f"every fold but {left_out}"
    for dataset, rows in pretraining.get("recordings", {}).items():
        licence, name, _ = licences.get(dataset, unknown)
        use = f"{pretraining.get('method', 'pretraining')} without labels, {folds}"
        found.append(TrainingData(name or dataset, licence, rows, use))
    if embedding:
        found.append(MUSICNN_DATA)
    return found


def export(
    work: Path,
    folder: Path,
    *,
    run: str = EMBEDDED_RUN,
    name: str = NAME,
    say: Callable[[str], None] = print,
) -> Path:
    """Write a model folder from the members of a training.

    Parameters
    ----------
    work
        Work folder that :func:`audio_model.training.train` filled.
    folder
        Model folder; made if it is not there, its model replaced if it is, once the new one
        is whole and checked.
    run
        Name of the training.
    name
        Of the model, for its card.
    say
        Receives a line about what was made.

    Returns
    -------
    The folder.

    Raises
    ------
    MissingDataError
        If no member, or the cache, is there.
    ModelFolderError
        If the exported network does not answer as the trained one.
    InputError
        If the members do not belong together, or no recording is in a fold that one of them
        did not hear.
    """
    folds = [k for k in range(N_MEMBERS) if weights_path(work, k, 0, run).is_file()]
    paths = [member_paths(work, k, run) for k in folds or [0]]
    loaded = [[load_member(path) for path in member] for member in paths]
    c = loaded[0][0][1]
    for path, (_, other) in zip(chain(*paths), chain(*loaded), strict=True):
        if (other.labels, other.front_end, type(other.network)) != (
            c.labels,
            c.front_end,
            type(c.network),
        ):
            raise InputError(
                f"{path} is of another training than {paths[0][0]}: train all members alike, or "
                "give each training a --run of its own"
            )
    clips = RecordingSources.read(run_folder(work, run)).load(work, say)
    network = joined([[network for network, _ in member] for member in loaded])
    heard, answers = cross_answers(network, clips, folds, c)
    six = served_six(answers, c.labels, SIX_WEIGHT)
    temperature = fit_temperature(heard, six, c.datasets)
    card = ModelCard(
        kind="audio",
        name=name,
        labels=c.labels,
        head_weights=head_weights(c.labels),
        features=c.front_end.features(),
        temperature=round(temperature, 4),
        prior=_prior(heard, six),
        training_data=_training_data(
            clips, read_pretraining(paths[0][0]), embedding=c.front_end.embedding is not None
        ),
        metrics={},
        commit=checkout_commit(),
    )
    some = [clip.windows(c.front_end) for clip in clips[:: max(1, len(clips) // 7)]]
    sample = Windows(*(np.stack([window[k][0] for window in some]) for k in range(len(some[0]))))
    folder.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=folder, prefix=".new-") as name_of_new:
        new = Path(name_of_new)
        write_network(network, new / NETWORK_NAME, c.front_end)
        halve_weights(new / NETWORK_NAME)
        if c.front_end.embedding is not None:
            _write_embedding(work, new)
        _check_network(network, new / NETWORK_NAME, sample, list(c.front_end.input_shapes))
        for path in list(new.iterdir()):
            path.replace(folder / path.name)
    write_card(folder, card)
    size = (folder / NETWORK_NAME).stat().st_size / 1e6
    say(f"{folder}: {len(loaded)} members, {size:.1f} MB, temperature {temperature:.2f}")
    return folder
