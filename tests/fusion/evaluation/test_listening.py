"""A model heard out says, over windows and members, what it serves."""

from __future__ import annotations

import numpy as np
import pytest

from audio_model.heads import head_slices
from data_prep.errors import InputError
from fusion.evaluation.listening import Listener, recording_answers

RATE = 16_000


@pytest.fixture(scope="module")
def listener() -> Listener:
    return Listener.load()


@pytest.fixture(scope="module")
def samples() -> np.ndarray:
    """25 seconds of a chord that gets louder: three windows."""
    t = np.arange(25 * RATE) / RATE
    chord = sum(np.sin(2 * np.pi * f * t) for f in (220.0, 277.2, 329.6))
    return (0.1 * chord * (0.2 + t / 25)).astype(np.float32)


def test_the_mean_of_what_is_heard_is_what_is_served(listener, samples) -> None:
    heard = listener.hear_waveform(samples, RATE, "quadrants")
    assert heard.six.shape == (3, 6)
    assert heard.native is not None
    assert heard.native.shape == (3, 4)
    assert heard.native.sum(axis=1) == pytest.approx(np.ones(3), abs=1e-5)
    served = listener.read_waveform(samples, RATE).distribution
    assert recording_answers([heard.six])[0] == pytest.approx(served, abs=1e-5)


def test_members_are_heard_one_by_one(listener, samples) -> None:
    single = [listener.hear_waveform(samples, RATE, "emotify", k) for k in range(5)]
    every = listener.hear_waveform(samples, RATE, "emotify")
    assert np.mean([each.six for each in single], axis=0) == pytest.approx(every.six, abs=1e-5)
    assert np.mean([each.native for each in single], axis=0) == pytest.approx(
        every.native, abs=1e-5
    )
    assert np.abs(single[0].six - single[1].six).max() > 1e-4
    assert list(head_slices(listener.card.labels))[-2:] == ["six", "source"]


def test_a_head_that_is_not_there_has_no_answer(listener, samples) -> None:
    assert listener.hear_waveform(samples[:RATE], RATE, "kote").native is None
    assert listener.hear_waveform(samples[:RATE], RATE).native is None


def test_what_serving_refuses_is_refused(listener, samples, tmp_path) -> None:
    with pytest.raises(InputError, match="silent"):
        listener.hear_waveform(np.zeros(RATE, np.float32), RATE)
    with pytest.raises(InputError, match="too short"):
        listener.hear_waveform(samples[:1000], RATE)
    with pytest.raises(InputError, match=r"nothing\.wav does not exist"):
        listener.hear_file(tmp_path / "nothing.wav")
