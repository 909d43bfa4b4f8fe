"""The training recordings' embeddings, patch by patch, in one HDF5 file.

``<work>/audio/embedding.onnx`` is the network (:mod:`audio_model.musicnn`), and
``<work>/audio/embeddings.h5`` holds one array ``<data set>/<clip>`` of
(n_patches, size) float16 per clip: patches that overlap by half, from its start to its
end. Building is resumable, and a file of other weights or patches starts anew. A run
that is killed within a write may leave a file that cannot be read: it is named, and is
to be deleted.
"""

from __future__ import annotations

import hashlib
import os
import warnings
from collections.abc import Callable
from dataclasses import asdict
from pathlib import Path

import numpy as np

from audio_model.decode import decode
from audio_model.input_cache import (
    DATASETS,
    PREPARE_EMBEDDINGS,
    added_to,
    damage_told,
    embeddings_path,
    empty_unless,
    one_by_one,
    read_rows,
)
from audio_model.tag_embedding import MUSICNN, embed, grid_places, patches_at
from data_prep.model_folder import EMBEDDING_NAME, configuration_hash
from data_prep.onnx_network import open_network


def network_path(work: Path) -> Path:
    """Where the network lies below a work folder."""
    return work / "audio" / EMBEDDING_NAME


def write_network(source: Path, path: Path) -> None:
    """Write the published tagger as ONNX: ``patches`` (n, n_frames, n_mels) → ``embedding``.

    Raises
    ------
    MissingDataError, InputError
        If the weights are not there or not musicnn's.
    """
    import torch

    from audio_model.musicnn import Musicnn

    network = Musicnn.load(source)
    path.parent.mkdir(parents=True, exist_ok=True)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # the tracing exporter is on its way out of torch
        torch.onnx.export(
            network,
            (torch.zeros(2, *MUSICNN.patch_shape),),
            str(path),
            input_names=["patches"],
            output_names=["embedding"],
            dynamic_axes={"patches": {0: "n"}, "embedding": {0: "n"}},
            dynamo=False,
            opset_version=18,
        )


def prepare_embeddings(
    work: Path,
    source: Path,
    *,
    datasets: tuple[str, ...] = DATASETS,
    say: Callable[[str], None] = print,
) -> Path:
    """Build the cache, or what is missing of it.

    Parameters
    ----------
    work
        Work folder.
    source
        The published wheel of musicnn, or a folder with its content.
    datasets
        Which of the training data sets.
    say
        Receives lines of progress.

    Returns
    -------
    Path of the cache.

    Raises
    ------
    MissingDataError, MissingExtraError, InputError
        If the weights, a data set or h5py are not there, a clip cannot be decoded, or the
        cache is damaged or in use by another run.
    """
    write_network(source, network_path(work))
    session = open_network(network_path(work))
    weights = hashlib.sha256(network_path(work).read_bytes()).hexdigest()
    wanted = configuration_hash({"patches": asdict(MUSICNN), "weights": weights})
    # under another name until it is whole: what reads it must not meet a file being written
    path = embeddings_path(work)
    part = path.with_name(f"{path.name}.part")
    if path.is_file() and not part.exists():
        os.replace(path, part)
    with added_to(part, PREPARE_EMBEDDINGS) as file:
        with damage_told(part, PREPARE_EMBEDDINGS):
            empty_unless(file, "hash", wanted)
        for dataset in datasets:
            rows = read_rows(dataset, work)
            with damage_told(part, PREPARE_EMBEDDINGS):
                group = file.require_group(dataset)
                missing = [row for row in rows if row.id not in group]
            for row in one_by_one(missing, f"{dataset}: {{}} embeddings", say):
                waveform = decode(row.path).samples
                patches = patches_at([waveform], [grid_places(waveform.size)])
                vectors = embed(session, patches).astype(np.float16)
                with damage_told(part, PREPARE_EMBEDDINGS):
                    group.create_dataset(row.id, data=vectors)
                    file.flush()
    os.replace(part, path)
    return path
