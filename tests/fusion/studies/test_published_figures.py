"""Figures of the published table, by hand."""

from __future__ import annotations

import numpy as np
import pytest

from audio_model.input_cache import Clip
from audio_model.windows import Spectra
from data_prep.data_folder import VARIABLE, data_root
from data_prep.errors import InputError, MissingDataError
from data_prep.taxonomy import native_label_set
from fusion.studies.published_figures import (
    PEOPLE_FIGURES,
    WORDS_FIGURES,
    PublishedVectors,
    people_figures,
    words_figures,
)

# joy tension calm sadness anger neutral
SAD = [0.2, 0.05, 0.1, 0.6, 0.03, 0.02]
GLAD = [0.6, 0.05, 0.2, 0.1, 0.03, 0.02]
CROSS = [0.02, 0.2, 0.03, 0.1, 0.6, 0.05]


def write_vectors(folder, words, sound) -> None:
    (folder / "published_vectors").mkdir(parents=True, exist_ok=True)
    for name, rows in (("lyric", words), ("mel", sound)):
        array = np.array(rows, dtype=np.float32)
        np.save(folder / "published_vectors" / f"2015{name}.npy", array)


def test_figures_against_words_by_hand() -> None:
    figures = words_figures(np.array([SAD, SAD, GLAD, CROSS]), np.array([SAD, GLAD, SAD, SAD]))
    assert list(figures) == list(WORDS_FIGURES)
    assert figures["top1"] == 0.25
    # sets of two: {sad, joy}, {joy, calm}, {sad, joy} against themselves and {anger, tension}
    assert figures["top2"] == 0.25
    # sets of three: {sad, joy, calm} throughout but for {anger, tension, sad}
    assert figures["top3"] == 0.75
    assert figures["less_strict1"] == 0.75
    assert figures["less_strict2"] == 0.75
    assert figures["macro_f1"] == pytest.approx((0.0 + 2 * 1 / (2 + 3) + 0.0) / 3)
    assert figures["balanced_accuracy"] == pytest.approx((0.5 + 0.0 + 0.0) / 3)
    assert figures["says_sadness"] == figures["largest_share"] == 0.75


def test_figures_against_people_by_hand() -> None:
    spectra = Spectra.without_notes(np.zeros((48, 4), dtype=np.float16))

    def clip(dataset: str, shares: np.ndarray) -> Clip:
        return Clip(dataset, "a", "g", shares.astype(np.float32), spectra)

    scales = native_label_set("emotify").labels

    def heard(**values: float) -> np.ndarray:
        return np.array([values.get(name, 0.0) for name in scales])

    sung = native_label_set("ravdess_song").labels
    clips = [
        clip("ravdess_song", np.eye(6)[sung.index("happy")]),
        clip("ravdess_song", np.eye(6)[sung.index("sad")]),
        clip("emopia", np.eye(4)[1]),
        clip("emopia", np.eye(4)[3]),
        clip("emotify", heard(joyful_activation=0.6, calmness=0.3, sadness=0.1)),
        clip("emotify", heard(tension=0.6, calmness=0.3, sadness=0.1)),
    ]
    answers = np.array([GLAD, GLAD, CROSS, SAD, GLAD, CROSS])
    figures = people_figures(clips, answers)
    assert set(figures) == set(PEOPLE_FIGURES)
    assert figures["ravdess_song"] == pytest.approx((2 / 3 + 0) / 2)
    # tension or anger is Q2, and the calm one is answered by sadness: of Q2, Q3 and Q4 one is right
    assert figures["emopia"] == pytest.approx(1 / 3)
    assert figures["emotify_top1"] == 1.0
    # {joy, calm} twice; {tension, calm} against {tension or anger, sadness}
    assert figures["emotify_top2"] == 0.5
    assert figures["emotify_less_strict2"] == 1.0
    # joy and tension as they are, calm constant in the labels, and sadness too
    assert figures["emotify"] == pytest.approx(0.5)


def test_published_rows_of_made_up_vectors(tmp_path, monkeypatch) -> None:
    monkeypatch.setenv(VARIABLE, str(tmp_path))
    # the constant is the mean of the words, sad; the sound has one song more right
    write_vectors(tmp_path, [SAD, SAD, SAD, GLAD], [SAD, SAD, SAD, GLAD])
    vectors = PublishedVectors.read()
    assert vectors.sad_share == 0.75
    found = vectors.figures()
    assert found["songs"] == 4
    assert found["model"]["top1"] == 1.0
    assert found["constant"]["top1"] == found["words_say"][3] == 0.75
    assert found["constant"]["says_sadness"] == 1.0
    assert found["top1_difference"] == 0.25
    low, high = found["top1_difference_interval"]
    assert low == 0.0 < high <= 1.0


def test_published_vectors_that_do_not_fit(tmp_path, monkeypatch) -> None:
    monkeypatch.setenv(VARIABLE, str(tmp_path))
    with pytest.raises(MissingDataError, match="published_vectors/2015lyric"):
        PublishedVectors.read()
    write_vectors(tmp_path, [SAD, SAD], [SAD])
    with pytest.raises(InputError, match="words of 2 songs, sound of 1"):
        PublishedVectors.read()
    write_vectors(tmp_path, [SAD], [[2.0, 0, 0, 0, 0, 0]])
    with pytest.raises(InputError, match="sum to 1"):
        PublishedVectors.read()
    write_vectors(tmp_path, [[1.0, 0.0]], [SAD])
    with pytest.raises(InputError, match="no array of 6 columns"):
        PublishedVectors.read()


def test_the_real_published_vectors() -> None:
    if not (data_root() / "published_vectors").is_dir():
        pytest.skip("published_vectors is not in the data folder (MAEUM_DATA)")
    vectors = PublishedVectors.read()
    found = vectors.figures()
    assert vectors.sad_share == pytest.approx(0.784, abs=5e-4)
    assert found["model"]["top1"] == pytest.approx(0.785, abs=1e-3)
    assert found["model"]["says_sadness"] == pytest.approx(0.9985, abs=1e-4)
    assert found["constant"]["macro_f1"] == pytest.approx(0.147, abs=1e-3)
