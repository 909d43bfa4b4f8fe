"""What pretraining reads: crops, batches, and songs of a store."""

from __future__ import annotations

import numpy as np
import pytest

torch = pytest.importorskip("torch", reason="torch is in the extra `train`")

from toy_recordings import recording  # noqa: E402

from audio_model import windows  # noqa: E402
from audio_model.views import ViewBatches, Views, open_store, two_crops  # noqa: E402
from audio_model.windows import FrontEnd, Spectra  # noqa: E402


def test_two_crops_are_as_far_apart_as_allowed():
    log_mel = np.tile(np.arange(1000.0), (48, 1))
    random = np.random.default_rng(0)
    same = [two_crops(log_mel, 64, 0.0, random)[:, 0, 0] for _ in range(50)]
    assert all(first == second for first, second in same)
    near = np.array([two_crops(log_mel, 64, 0.5, random)[:, 0, 0] for _ in range(500)])
    shifts = near[:, 1] - near[:, 0]
    assert (shifts.min(), shifts.max()) == (-32, 32)
    anywhere = np.array([two_crops(log_mel, 64, 1e9, random)[:, 0, 0] for _ in range(500)])
    assert np.abs(anywhere[:, 1] - anywhere[:, 0]).max() > 800
    assert near.min() >= 0
    assert near.max() <= 1000 - 64


@pytest.mark.parametrize("length", [1, 40, 64, 65])
def test_a_short_recording_is_repeated(length):
    log_mel = np.tile(np.arange(float(length)), (48, 1))
    random = np.random.default_rng(0)
    starts = set()
    for _ in range(100):
        found = two_crops(log_mel, 64, 0.5, random)
        assert found.shape == (2, 48, 64)
        for crop in found[:, 0]:
            np.testing.assert_array_equal(np.diff(crop) % length, np.ones(63) % length)
            starts.add(crop[0])
    assert len(starts) == {64: 1, 65: 2}.get(length, length)


def test_batches_are_seeded_and_hold_everyone_once():
    clips = [recording(np.full((48, 64), -float(i)), str(i)) for i in range(10)]

    def batches(seed: int) -> list[Views]:
        return list(ViewBatches(clips, batch_size=4, n_frames=64, max_shift=0.0, seed=seed))

    first, again, other = batches(1), batches(1), batches(2)
    assert len(first) == 2  # the last two wait for the next epoch
    assert all(torch.equal(a.log_mel, b.log_mel) for a, b in zip(first, again, strict=True))
    heard = [batch.log_mel[0, :, 0, 0].tolist() for batch in first]
    assert len(set(heard[0] + heard[1])) == 8
    assert heard != [batch.log_mel[0, :, 0, 0].tolist() for batch in other]
    assert first[0].log_mel.shape == (2, 4, 48, 64)
    assert first[0].log_mel.dtype == torch.float32


def test_groups_are_told_apart_by_data_set_too():
    flat = np.full((48, 64), -20.0)
    clips = [
        recording(flat, "1", dataset="a", group="x"),
        recording(flat, "2", dataset="a", group="x"),
        recording(flat, "3", dataset="b", group="x"),
    ]
    (batch,) = ViewBatches(clips, batch_size=8, n_frames=64, max_shift=0.0, seed=0)
    counts = torch.bincount(batch.group)
    assert sorted(counts.tolist()) == [1, 2]


def test_songs_of_a_store_are_levelled_when_they_are_read(tmp_path):
    pytest.importorskip("h5py")
    from tests.data_prep.toy_mels import small_mel, write_store

    path = write_store(tmp_path / "own.h5", range(3))
    clips = open_store(path)
    assert [(clip.dataset, clip.id, clip.group) for clip in clips] == [
        ("own", str(song), str(song)) for song in range(3)
    ]
    for song, clip in enumerate(clips):
        raw = Spectra.without_notes(small_mel(song).astype(np.float32))
        (expected,) = windows.levelled([raw], FrontEnd(pitch=None))
        np.testing.assert_allclose(clip.spectra.log_mel, expected.log_mel, atol=0.02)
        assert clip.spectra is not clip.spectra  # not kept
        assert clip.shares.size == 0


def test_a_process_beside_the_training_makes_the_same_batches():
    random = np.random.default_rng(0)
    clips = [recording(random.normal(-20, 5, (48, 90)), str(i)) for i in range(6)]
    batches = ViewBatches(clips, batch_size=2, n_frames=64, max_shift=0.5, seed=3)
    beside = list(torch.utils.data.DataLoader(batches, batch_size=None, num_workers=1))
    assert len(beside) == 3
    for one, other in zip(batches, beside, strict=True):
        assert torch.equal(one.log_mel, other.log_mel)
        assert torch.equal(one.group, other.group)
