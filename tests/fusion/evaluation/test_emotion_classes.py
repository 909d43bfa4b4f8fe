"""What labels tell apart, by hand."""

from __future__ import annotations

import numpy as np
import pytest

from data_prep.taxonomy import EMOTIONS, native_label_set
from fusion.evaluation.emotion_classes import FOUR, EmotionClasses, class_shares

SIX = np.array([0.1, 0.2, 0.15, 0.05, 0.3, 0.2], dtype=np.float32)


def test_a_quadrant_is_every_emotion_it_may_be() -> None:
    classes = EmotionClasses.of("quadrants")
    assert classes.names == ("Q1", "Q2", "Q3", "Q4")
    masses = classes.of_six(SIX)
    # joy; tension and anger; sadness; calm; neutral is in none
    assert masses == pytest.approx([0.1, 0.5, 0.05, 0.15])
    assert class_shares(masses) == pytest.approx(np.array([0.1, 0.5, 0.05, 0.15]) / 0.8)


def test_the_axes_of_quadrants() -> None:
    axes = EmotionClasses.of("quadrants").axes()
    assert axes["arousal"].tolist() == [True, True, False, False]
    assert axes["valence"].tolist() == [True, False, False, True]
    assert EmotionClasses.of("ravdess_song").axes() == {}


def test_scales_are_summed_into_four_emotions() -> None:
    classes = EmotionClasses.of("gems")
    scales = native_label_set("emotify")
    assert (classes.are_scales, classes.names) == (True, FOUR)
    ratings = np.zeros((3, 9), dtype=np.float32)
    ratings[0, [scales.index("amazement"), scales.index("joyful_activation")]] = 0.2, 0.3
    ratings[0, scales.index("tension")] = 0.4
    ratings[1, scales.index("power")] = 0.9  # stands for none of the six
    ratings[2, [scales.index("tenderness"), scales.index("nostalgia")]] = 0.5
    assert classes.of_native(ratings)[0] == pytest.approx([0.5, 0.4, 0, 0])
    labels, ties = classes.strongest(ratings)
    assert labels.tolist() == [0, -1, -1]
    assert ties.tolist() == [False, False, True]
    assert class_shares(classes.of_native(ratings))[1].tolist() == [0, 0, 0, 0]
    assert classes.of_six(SIX) == pytest.approx([0.1, 0.5, 0.15, 0.05])


def test_labels_in_the_six_are_the_six() -> None:
    classes = EmotionClasses.of("six")
    assert classes.names == EMOTIONS
    assert classes.of_six(SIX) == pytest.approx(SIX)
    assert classes.strongest(SIX[None])[0].tolist() == [4]
