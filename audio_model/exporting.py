"""From trained members to a model folder.

``export`` joins the members into one ONNX file, checks that onnxruntime gives
what torch gives, and fits the branch's temperature and prior on out-of-fold
answers: each clip answered by the member that never heard its fold.
"""

from __future__ import annotations

import warnings
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Final

import numpy as np
import torch
from numpy.typing import NDArray

from audio_model.heads import HEADS, head_labels, head_slices, probabilities, served_six
from audio_model.input_cache import Clip
from audio_model.labels import clip_fold, group_matrix, group_shares
from audio_model.network import Members
from audio_model.training import (
    N_MEMBERS,
    RECIPES,
    load_clips,
    load_member,
    weights_path,
)
from audio_model.windows import TEN_SECONDS, FrontEnd, Windows
from data_prep.errors import MissingDataError, ModelFolderError
from data_prep.model_folder import (
    NETWORK_NAME,
    ModelCard,
    TrainingData,
    checkout_commit,
    write_card,
)
from data_prep.taxonomy import N_EMOTIONS

HEAD_WEIGHTS: Final[dict[str, float]] = {
    "ravdess_song": 0.2,
    "emotify": 0.2,
    "quadrants": 0.2,
    "six": 0.4,
}
"""Weights of the heads in the served six, chosen by inner validation."""

NAME: Final = "maeum sound network 2"
_TOLERANCE: Final = 0.02  # of logits, torch against onnxruntime with weights of 16 bits
_LARGE: Final = 1_024  # elements; smaller constants stay as they are


def write_network(network: Members, path: Path, front_end: FrontEnd = TEN_SECONDS) -> None:
    """Write the ONNX file: ``log_mel`` (batch, n_mels, n_frames) and ``salience``
    (batch, n_notes, n_frames // step) → ``logits`` (batch, n_members, n_logits)."""
    network.eval()
    example = tuple(torch.zeros(2, *shape) for shape in front_end.window_shapes)
    with warnings.catch_warnings():
        # the tracing exporter is on its way out of torch, but takes 2 s where the other takes
        # minutes for several members
        warnings.simplefilter("ignore")
        torch.onnx.export(
            network,
            example,
            str(path),
            input_names=list(Windows._fields),
            output_names=["logits"],
            dynamic_axes={name: {0: "batch"} for name in (*Windows._fields, "logits")},
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


def _check_network(network: Members, path: Path, window: Windows) -> None:
    import onnxruntime

    session = onnxruntime.InferenceSession(str(path), providers=["CPUExecutionProvider"])
    (served,) = session.run(None, window._asdict())
    with torch.no_grad():
        expected = network(*map(torch.from_numpy, window)).numpy()
    worst = float(np.abs(served - expected).max())
    if not worst < _TOLERANCE:
        raise ModelFolderError(
            f"{path}: onnxruntime differs from torch by {worst:.2g} (allowed {_TOLERANCE:g})"
        )


def cross_answers(
    network: Members, clips: Sequence[Clip]
) -> tuple[list[Clip], NDArray[np.float32]]:
    """Probabilities of all heads for each clip by the member that never heard it.

    Clips of no fold are left out. Returns the clips and (n_clips, N_LOGITS).
    """
    kept: list[Clip] = []
    found: list[NDArray[np.float32]] = []
    with torch.no_grad():
        for clip in clips:
            fold = clip_fold(clip)
            if fold is None:
                continue
            logits = network(*map(torch.from_numpy, clip.windows()))
            kept.append(clip)
            found.append(probabilities(logits[:, fold].numpy()).mean(axis=0))
    return kept, np.stack(found)


def fit_temperature(
    clips: Sequence[Clip], six: NDArray[np.float32], grid: Sequence[float] | None = None
) -> float:
    """Temperature that gives the labels their highest likelihood, every data set counting alike.

    A clip's label is compared over what it tells apart: groups of emotions, within
    the emotions its data set knows.
    """
    temperatures = grid if grid is not None else np.geomspace(0.4, 3.0, 60).tolist()
    losses = []
    for temperature in temperatures:
        sharpened = np.power(np.maximum(six, 1e-9), 1.0 / temperature)
        by_dataset: dict[str, list[float]] = {}
        for clip, row in zip(clips, sharpened, strict=True):
            groups = group_matrix(clip.dataset)
            mass = groups @ row
            share = mass / row[groups.sum(axis=0) > 0].sum()
            target = group_shares(clip.dataset, clip.shares)
            used = target > 0
            loss = -float(np.sum(target[used] * np.log(np.maximum(share[used], 1e-9))))
            by_dataset.setdefault(clip.dataset, []).append(loss)
        losses.append(np.mean([np.mean(values) for values in by_dataset.values()]))
    return float(temperatures[int(np.argmin(losses))])


def _prior(clips: Sequence[Clip], six: NDArray[np.float32]) -> list[float]:
    """Mean answer, every data set counting alike."""
    total = np.zeros(N_EMOTIONS)
    datasets = {clip.dataset for clip in clips}
    for dataset in datasets:
        chosen = [i for i, clip in enumerate(clips) if clip.dataset == dataset]
        total += six[chosen].mean(axis=0)
    return [round(float(p), 6) for p in total / total.sum()]


def _training_data(clips: Sequence[Clip]) -> list[TrainingData]:
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
    found = []
    for dataset, (licence, name, use) in licences.items():
        rows = sum(1 for c in clips if c.dataset == dataset and clip_fold(c) is not None)
        if rows:
            found.append(TrainingData(name, licence, rows, use))
    return found


def export(
    work: Path,
    folder: Path,
    *,
    head_weights: dict[str, float] | None = None,
    say: Callable[[str], None] = print,
) -> Path:
    """Write a model folder from the members below a work folder.

    Parameters
    ----------
    work
        Work folder that :func:`audio_model.training.train` filled.
    folder
        Model folder; made if it is not there, its model replaced if it is.
    head_weights
        Weights of the heads in the served six; :data:`HEAD_WEIGHTS` if not given.

    Returns
    -------
    The folder.

    Raises
    ------
    MissingDataError
        If a member or the cache is not there.
    ModelFolderError
        If the exported network does not answer as the trained one.
    """
    paths = [[weights_path(work, k, n) for n in range(len(RECIPES))] for k in range(N_MEMBERS)]
    for path in (path for networks in paths for path in networks):
        if not path.is_file():
            raise MissingDataError(f"{path} is missing: run `maeum train audio` first")
    members = [[load_member(path) for path in networks] for networks in paths]
    clips = load_clips(work)
    folder.mkdir(parents=True, exist_ok=True)
    network = Members(members).eval()
    write_network(network, folder / NETWORK_NAME)
    halve_weights(folder / NETWORK_NAME)
    some = [clip.windows() for clip in clips[:: len(clips) // 7]]
    sample = Windows(*(np.stack([window[k][0] for window in some]) for k in range(2)))
    _check_network(network, folder / NETWORK_NAME, sample)

    weights = head_weights or HEAD_WEIGHTS
    heard, answers = cross_answers(network, clips)
    six = served_six(answers, weights, head_slices())
    temperature = fit_temperature(heard, six)
    card = ModelCard(
        kind="audio",
        name=NAME,
        labels={head: list(head_labels(head)) for head in HEADS},
        head_weights=weights,
        features=TEN_SECONDS.features(),
        temperature=round(temperature, 4),
        prior=_prior(heard, six),
        training_data=_training_data(clips),
        metrics={},
        commit=checkout_commit(),
    )
    write_card(folder, card)
    size = (folder / NETWORK_NAME).stat().st_size / 1e6
    say(f"{folder}: {len(members)} members, {size:.1f} MB, temperature {temperature:.2f}")
    return folder
