"""The caches of spectra and embeddings: what is not there is made, what is damaged is named."""

from __future__ import annotations

import fcntl
import shutil
from types import SimpleNamespace

import numpy as np
import pytest
import soundfile

from audio_model import embedding_cache, input_cache
from audio_model.decode import decode
from audio_model.input_cache import cache_path, clips, embeddings_path, load
from audio_model.predictor import AudioPredictor
from audio_model.windows import WITH_EMBEDDING
from data_prep.errors import InputError
from data_prep.readers.row import ClipRow

RATE = 16_000
DATASETS = ("ravdess_song",)


def quiet(line: str) -> None:
    """Says nothing."""


@pytest.fixture
def rows(tmp_path, monkeypatch):
    """Three recordings of 2, 5 and 35 s that stand for a data set."""
    random = np.random.default_rng(0)
    found = []
    for i, duration_s in enumerate((2, 5, 35)):
        path = tmp_path / f"{i}.wav"
        soundfile.write(path, random.normal(0, 0.1, RATE * duration_s), RATE)
        shares = np.eye(6, dtype=np.float32)[i]
        found.append(ClipRow(str(i), path, shares, group=f"{i + 1:02d}"))
    for module in (input_cache, embedding_cache):
        monkeypatch.setattr(module, "read_rows", lambda dataset, work: found)
    return found


@pytest.fixture
def embeddings(monkeypatch):
    """Embeddings that need no tagger: a patch's mean, 200 times; gives how many were made."""
    made: list[int] = []

    def embed(session, patches):
        made.append(len(patches))
        return np.repeat(patches.mean(axis=(1, 2))[:, None], 200, axis=1)

    def write_network(source, path):
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(b"weights")

    monkeypatch.setattr(embedding_cache, "embed", embed)
    monkeypatch.setattr(embedding_cache, "open_network", lambda path: None)
    monkeypatch.setattr(embedding_cache, "write_network", write_network)
    return made


@pytest.fixture(scope="module")
def predictor() -> AudioPredictor:
    return AudioPredictor.load()


def prepare(work):
    pytest.importorskip("h5py", reason="h5py is in the extra `train`")
    return input_cache.prepare(work, datasets=DATASETS, say=quiet)


def prepare_embeddings(work):
    pytest.importorskip("h5py", reason="h5py is in the extra `train`")
    return embedding_cache.prepare_embeddings(work, work, datasets=DATASETS, say=quiet)


@pytest.mark.parametrize("cached", [False, True])
def test_without_cached_embeddings_windows_are_what_serving_hears(
    rows, predictor, tmp_path, cached
):
    if cached:
        prepare(tmp_path)
    found = clips(tmp_path, "ravdess_song", embed=predictor.patch_embeddings)
    assert [clip.patches.shape for clip in found] == [(1, 200), (1, 200), (10, 200)]
    for row, clip in zip(rows, found, strict=True):
        windows = clip.windows(predictor.front_end)
        served = predictor.windows([decode(row.path).samples])
        assert windows.embedding.shape == served.embedding.shape
        np.testing.assert_allclose(windows.embedding, served.embedding, rtol=1e-3, atol=1e-3)
        np.testing.assert_allclose(windows.log_mel, served.log_mel, atol=0.05)


def test_what_is_measured_is_what_is_served_not_what_is_cached(rows, embeddings, tmp_path):
    prepare(tmp_path)
    prepare_embeddings(tmp_path)
    assert embeddings == [1, 3, 23]  # patches that overlap by half, to train with
    lines: list[str] = []
    found = clips(
        tmp_path, "ravdess_song", embed=lambda pieces: np.ones((2, 200)), say=lines.append
    )
    assert [len(clip.some_patches()) for clip in found] == [2, 2, 2]
    assert lines == ["ravdess_song: 3 of 3 recordings, 0 s left"]
    assert found[2].windows(WITH_EMBEDDING).embedding.shape == (4, 200)


def test_nothing_is_embedded_for_a_model_that_hears_windows_alone(rows, tmp_path):
    assert [clip.patches for clip in clips(tmp_path, "ravdess_song")] == [None] * 3


def cut(path, share: float) -> None:
    """Cut a file off."""
    content = path.read_bytes()
    path.unlink()  # the library may hold on to the damaged file of a test before
    path.write_bytes(content[: int(share * len(content))])


@pytest.mark.parametrize("share", [0.001, 0.02, 0.5, 0.999])
def test_damaged_spectra_are_named(rows, tmp_path, share):
    path = prepare(tmp_path)
    cut(path, share)
    message = rf"{path} is damaged.*: delete it, and run `maeum prepare audio` again"
    for read in (lambda: load(tmp_path, "ravdess_song"), lambda: clips(tmp_path, "ravdess_song")):
        with pytest.raises(InputError, match=message):
            read()
    with pytest.raises(InputError, match=message):
        prepare(tmp_path)
    path.unlink()
    prepare(tmp_path)
    assert len(load(tmp_path, "ravdess_song")) == 3


def test_damage_inside_is_named(rows, tmp_path):
    path = prepare(tmp_path)
    content = path.read_bytes()
    said = set()
    for signature in (b"TREE", b"HEAP", b"SNOD"):  # of an index that was written in part
        path.unlink()
        path.write_bytes(content.replace(signature, b"\0" * 4))
        for use in (lambda: load(tmp_path, "ravdess_song"), lambda: prepare(tmp_path)):
            with pytest.raises(InputError, match=rf"{path} is damaged") as caught:
                use()
            said.add(type(caught.value.__cause__))
    assert len(said) > 1


@pytest.mark.parametrize("share", [0.001, 0.5])
def test_damaged_embeddings_are_named(rows, embeddings, tmp_path, share):
    prepare(tmp_path)
    path = prepare_embeddings(tmp_path)
    part = path.with_name(f"{path.name}.part")
    shutil.copy(path, part)
    for damaged in (path, part):
        cut(damaged, share)
    command = "`maeum prepare audio --tagger WHEEL` again"
    with pytest.raises(InputError, match=rf"{path} is damaged.*: delete it, and run {command}"):
        load(tmp_path, "ravdess_song")
    with pytest.raises(InputError, match=rf"{part} is damaged.*: delete it, and run {command}"):
        prepare_embeddings(tmp_path)
    part.unlink()
    path.unlink()
    prepare_embeddings(tmp_path)
    assert all(len(clip.some_patches()) for clip in load(tmp_path, "ravdess_song"))
    assert path == embeddings_path(tmp_path)


def test_a_cache_in_use_is_not_called_damaged(rows, tmp_path):
    path = prepare(tmp_path)
    with path.open("rb") as file:
        fcntl.flock(file, fcntl.LOCK_EX)  # as the library does where it writes
        with pytest.raises(InputError, match=r"inputs\.h5 is in use by another run"):
            prepare(tmp_path)
        with pytest.raises(InputError, match=r"inputs\.h5 is in use by another run"):
            load(tmp_path, "ravdess_song")
    prepare(tmp_path)


def test_an_error_of_a_recording_is_not_taken_for_damage(rows, tmp_path, monkeypatch):
    def broken(path):
        raise ValueError("a bug")

    monkeypatch.setattr(input_cache, "decode", broken)
    with pytest.raises(ValueError, match="a bug"):
        prepare(tmp_path)
    monkeypatch.setattr(input_cache, "decode", lambda path: SimpleNamespace(samples=np.ones(RATE)))
    prepare(tmp_path)
    assert cache_path(tmp_path).is_file()
