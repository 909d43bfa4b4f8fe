"""Training the members of an audio model.

Five members are cross-fitted: member *k* never hears fold *k* of RAVDESS
(folds of actors), Emotify (of recordings) or EMOPIA's train split (of songs),
so that the shipped weights can be measured on every clip by the member that
did not train on it. EMOPIA's validation split is in no member's training data.

A *run* is one such training: ``<work>/audio/<run>/member-<k>/network-<n>/`` holds
its weights, each with its configuration beside it.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, Final

import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn

from audio_model import input_cache
from audio_model.backbones import read_provenance
from audio_model.folds import clip_fold
from audio_model.heads import (
    DATASET_HEADS,
    LABELS,
    SCALES,
    SIX,
    four_emotions,
    group_matrix,
    group_shares,
    head_labels,
    head_slices,
    probabilities,
    served_six,
)
from audio_model.input_cache import Clip
from audio_model.member_training import EmotionNetwork, make_network, train_member
from audio_model.network import NetworkConfiguration
from audio_model.recording import Recording
from audio_model.tag_embedding import MUSICNN
from audio_model.training_configuration import TrainingConfiguration, configuration_from
from audio_model.windows import WITH_EMBEDDING
from data_prep.errors import InputError, MissingDataError
from data_prep.metrics import LEAST_FOR_R, accuracy, macro_f1, pearson_r
from data_prep.splits import N_FOLDS

N_MEMBERS: Final = N_FOLDS
EMBEDDED_RUN: Final = "embedded"
_CONFIGURATION_NAME: Final = "configuration.json"
SIX_WEIGHT: Final = 0.2
"""Share of the served six that the head ``six`` has alone, chosen out of fold."""


def load_clips(work: Path) -> list[Clip]:
    """All clips of the cache."""
    return [clip for dataset in input_cache.DATASETS for clip in input_cache.load(work, dataset)]


@torch.no_grad()
def answers(
    network: nn.Module, clips: Sequence[Recording], configuration: TrainingConfiguration
) -> NDArray[np.float32]:
    """Probabilities of all heads, mean over a clip's windows: (n_clips, n_logits)."""
    slices = head_slices(configuration.labels)
    found = []
    for clip in clips:
        logits = network(*map(torch.from_numpy, clip.windows(configuration.front_end)))
        found.append(probabilities(logits.numpy(), slices).mean(axis=0))
    return np.stack(found)


def _mean_r(wanted: NDArray[np.float32], got: NDArray[np.float32]) -> float:
    columns = range(wanted.shape[1])
    return float(np.mean([pearson_r(wanted[:, k], got[:, k]) for k in columns]))


def scores(
    clips: Sequence[Recording],
    probability: NDArray[np.float32],
    datasets: Mapping[str, str] = DATASET_HEADS,
    labels: Mapping[str, Sequence[str]] = LABELS,
) -> dict[str, float]:
    """Figures of a set of clips.

    Parameters
    ----------
    clips, probability
        Clips and their :func:`answers`.
    datasets, labels
        Data set → label set, and the heads of the network with their labels; ours if not
        given.

    Returns
    -------
    For each data set that has clips, under its name: of the native head macro-F1,
    accuracy (quadrants), or mean Pearson r over the four mapped emotions (soft
    scales; only of :data:`data_prep.metrics.LEAST_FOR_R` clips or more). Under
    ``six_<data set>``: the same of the served six, as far as the labels go (soft scales:
    of the shares of joy, tension or anger, calm and sadness).
    """
    slices = head_slices(labels)
    six = served_six(probability, labels, SIX_WEIGHT)
    result: dict[str, float] = {}
    for dataset, head in datasets.items():
        chosen = [i for i, clip in enumerate(clips) if clip.dataset == dataset]
        if not chosen or (head in SCALES and len(chosen) < LEAST_FOR_R):
            continue
        served = six[chosen]
        native = served if head == SIX else probability[chosen][:, slices[head]]
        target = np.stack([clips[i].shares for i in chosen])
        if head in SCALES:
            result[dataset] = _mean_r(four_emotions(target), four_emotions(native))
            # of the served six only shares can be compared: it sums to one
            shares = np.stack([group_shares(head, row) for row in target])
            by_group = served @ group_matrix(head).T
            result[f"six_{dataset}"] = _mean_r(shares[:, :4], by_group[:, :4])
            continue
        truth, n = target.argmax(axis=1), len(head_labels(head))
        by_group = served @ group_matrix(head)[:n].T  # six → native classes
        for name, answer in ((dataset, native), (f"six_{dataset}", by_group)):
            if head == "quadrants":
                result[name] = accuracy(truth, answer.argmax(axis=1))
            else:
                result[name] = macro_f1(truth, answer.argmax(axis=1), n)
    return result


RECIPE: Final = TrainingConfiguration(
    network=NetworkConfiguration(n_embedding=MUSICNN.size), front_end=WITH_EMBEDDING
)
RECIPES: Final[tuple[TrainingConfiguration, ...]] = (RECIPE, RECIPE)
"""Settings of the networks of one member: the same, seeded differently, since the mean of
networks errs less than one."""


def run_folder(work: Path, run: str = EMBEDDED_RUN) -> Path:
    """Where a training lies."""
    return work / "audio" / run


def weights_path(work: Path, member: int, network: int, run: str = EMBEDDED_RUN) -> Path:
    """Where the weights of one network of a member lie; its checkpoints are beside them."""
    folder = run_folder(work, run) / f"member-{member}" / f"network-{network}"
    return folder / "weights.safetensors"


def member_paths(work: Path, member: int, run: str = EMBEDDED_RUN) -> list[Path]:
    """Paths of a member's networks: those that are there, or the first, which is not."""
    first = weights_path(work, member, 0, run)
    found = sorted(first.parent.parent.glob(f"network-*/{first.name}"))
    return found or [first]


def train(
    work: Path,
    *,
    run: str = EMBEDDED_RUN,
    clips: Sequence[Recording] | None = None,
    folds: Sequence[int] | None = None,
    seed: int = 1,
    recipes: Sequence[TrainingConfiguration] = RECIPES,
    say: Callable[[str], None] = print,
) -> list[Path]:
    """Train the members, or finish training them.

    Parameters
    ----------
    work
        Work folder that holds the cache (:func:`audio_model.input_cache.prepare`).
    run
        Name of the training.
    clips
        Labelled recordings; those of the cache if not given.
    folds
        Which members; all five if not given. Member *k* is trained without fold *k*.
    seed
        Network *n* of member *k* is seeded with ``100 * seed + 10 * n + k``.
    recipes
        Settings of each network of a member; all of the same heads and windows.
    say
        Receives lines of progress.

    Returns
    -------
    Path of the weights of each network.

    Raises
    ------
    MissingDataError
        If the cache is not there.
    InputError
        If a fold is not 0..4, or a fold leaves nothing to train on.
    """
    chosen = list(range(N_MEMBERS)) if folds is None else list(folds)
    if not chosen or not set(chosen) <= set(range(N_MEMBERS)):
        raise InputError(f"folds {chosen}: expected some of 0..{N_MEMBERS - 1}")
    clips = load_clips(work) if clips is None else clips
    clips = [clip for clip in clips if clip.dataset in recipes[0].shares]
    by_fold = {member: [c for c in clips if clip_fold(c) == member] for member in range(N_MEMBERS)}
    for member in chosen:
        if not any(by_fold[other] for other in by_fold if other != member):
            raise InputError(f"no recording is left to train member {member} on")
    provenance = None if recipes[0].start is None else read_provenance(recipes[0].start)
    jobs = [(member, n) for member in chosen for n in range(len(recipes))]
    paths = []
    for done, (member, n) in enumerate(jobs):
        kept = [clip for clip in clips if clip_fold(clip) not in (None, member)]
        held_out = by_fold[member]
        path = weights_path(work, member, n, run)
        own_seed = 100 * seed + 10 * n + member
        network = train_member(
            path.parent,
            kept,
            recipes[n],
            seed=own_seed,
            title=f"{run}: member {member + 1} of {N_MEMBERS}, network {n + 1} of {len(recipes)}",
            say=say,
            epochs_after=sum(recipes[later].n_epochs for _, later in jobs[done + 1 :]),
        )
        save_member(path, network, recipes[n], own_seed, provenance)
        if provenance is not None and provenance.get("held_out_fold") != member:
            say("  the pretraining heard this fold, without labels: what follows may be too good")
        if held_out:
            c = recipes[n]
            found = scores(
                held_out, answers(network, held_out, c), datasets=c.datasets, labels=c.labels
            )
            say("  out of fold: " + ", ".join(f"{k} {v:.3f}" for k, v in found.items()))
        paths.append(path)
    return paths


def save_member(
    path: Path,
    network: EmotionNetwork,
    configuration: TrainingConfiguration,
    seed: int,
    pretraining: Mapping[str, Any] | None = None,
) -> None:
    """Write a member's weights, with its configuration beside them, and what is known of the
    pretraining that it started from."""
    from safetensors.torch import save_file

    path.parent.mkdir(parents=True, exist_ok=True)
    save_file({k: v.contiguous() for k, v in network.state_dict().items()}, str(path))
    content = {"seed": seed, "pretraining": pretraining, **configuration.as_dict()}
    text = json.dumps(content, ensure_ascii=False, indent=1) + "\n"
    path.with_name(_CONFIGURATION_NAME).write_text(text, encoding="utf-8")


def load_member(path: Path) -> tuple[EmotionNetwork, TrainingConfiguration]:
    """Read a member that :func:`save_member` wrote, and its configuration.

    Raises
    ------
    MissingDataError
        If it is not there.
    """
    from safetensors.torch import load_file

    if not path.is_file():
        raise MissingDataError(f"{path} is missing: run `maeum train audio` first")
    content = json.loads(path.with_name(_CONFIGURATION_NAME).read_text(encoding="utf-8"))
    configuration = configuration_from(content)
    network = make_network(configuration, pretrained=False)
    network.load_state_dict(load_file(str(path)))
    return network.eval(), configuration


def read_pretraining(path: Path) -> dict[str, Any]:
    """What is known of the pretraining that a member started from; empty if it did not."""
    content = json.loads(path.with_name(_CONFIGURATION_NAME).read_text(encoding="utf-8"))
    return dict(content.get("pretraining") or {})
