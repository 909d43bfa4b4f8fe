"""Reasons in both languages, by hand."""

import numpy as np
import pytest

from fusion.combination import fuse
from fusion.reasons import branches_differ, matching_emotions, reason
from fusion.rules import Mean
from fusion.settings import FusionSettings

SAD = np.array([0.04, 0.05, 0.05, 0.8, 0.03, 0.03])
CALM_SAD = np.array([0.02, 0.02, 0.5, 0.42, 0.02, 0.02])
BRIGHT = np.array([0.85, 0.03, 0.03, 0.03, 0.03, 0.03])


def test_matching_emotions_are_those_of_the_cosine():
    assert matching_emotions(SAD, SAD) == (3,)
    assert matching_emotions(CALM_SAD, CALM_SAD) == (2, 3)
    assert matching_emotions(SAD, BRIGHT) in ((0,), (0, 3), (3, 0))
    assert len(matching_emotions(np.full(6, 1 / 6), np.full(6, 1 / 6))) == 1
    assert matching_emotions(np.eye(6)[1], np.eye(6)[1]) == (1,)


def test_branches_differ_only_when_their_tops_do():
    assert branches_differ(fuse(SAD, BRIGHT, FusionSettings()))
    assert not branches_differ(fuse(SAD, SAD, FusionSettings()))
    assert not branches_differ(fuse(SAD, None, FusionSettings()))


def test_english():
    both = fuse(SAD, BRIGHT, FusionSettings(rule=Mean(0.5)))
    sentence = reason(SAD, both, "en")
    words = round(100 * both.lyrics_share)
    assert f"its words decide {words}%, its sound {100 - words}%" in sentence
    assert sentence.endswith(": sad words, bright sound.")
    assert reason(SAD, fuse(SAD, None, FusionSettings())) == (
        "Shares the sadness; only its words were read."
    )
    assert reason(CALM_SAD, fuse(None, CALM_SAD, FusionSettings())) == (
        "Shares the calm and sadness; only its sound was heard."
    )


def test_korean_particles_follow_the_word():
    assert reason(SAD, fuse(SAD, None, FusionSettings()), "ko") == (
        "슬픔이 닮았고, 가사만 읽은 노래입니다."
    )
    assert reason(np.eye(6)[2], fuse(None, np.eye(6)[2], FusionSettings()), "ko") == (
        "평화가 닮았고, 소리만 들은 노래입니다."
    )
    assert "(슬픈 말, 밝은 소리)" in reason(SAD, fuse(SAD, BRIGHT, FusionSettings()), "ko")


@pytest.mark.parametrize("language", ["ko", "en"])
def test_a_reason_is_one_sentence(language):
    for words, sound in ((SAD, BRIGHT), (SAD, None), (None, CALM_SAD), (SAD, CALM_SAD)):
        for step in (None, (2, 5, 0)):
            sentence = reason(SAD, fuse(words, sound, FusionSettings()), language, step=step)
            assert sentence.endswith(".")
            assert sentence.count(".") == 1


def test_steps_are_named():
    fused = fuse(SAD, None, FusionSettings())
    assert reason(SAD, fused, "en", step=(2, 5, 0)).startswith("Step 2 of 5 towards joy: ")
    assert reason(SAD, fused, "ko", step=(2, 5, 0)).startswith("기쁨 쪽으로 5걸음 중 2번째: ")
