import numpy as np
import pytest

from data_prep import metrics
from data_prep.data_folder import data_root
from data_prep.errors import InputError

# Strongest first:            0 1 2                          1 0 2
REFERENCE = np.array([[0.5, 0.3, 0.1, 0.05, 0.03, 0.02]] * 4)
ESTIMATED = np.array(
    [
        [0.5, 0.3, 0.1, 0.05, 0.03, 0.02],  # the same
        [0.3, 0.5, 0.1, 0.05, 0.03, 0.02],  # the first two exchanged
        [0.5, 0.02, 0.03, 0.3, 0.1, 0.05],  # 0 3 4: shares only the first
        [0.02, 0.03, 0.05, 0.5, 0.3, 0.1],  # 3 4 5: shares none
    ]
)


def test_published_definitions_by_hand() -> None:
    assert metrics.top_k_agreement(REFERENCE, ESTIMATED, 1) == 0.5  # rows 0, 2
    assert metrics.top_k_agreement(REFERENCE, ESTIMATED, 2) == 0.5  # rows 0, 1
    assert metrics.top_k_agreement(REFERENCE, ESTIMATED, 3) == 0.5  # rows 0, 1
    assert metrics.less_strict_top1(REFERENCE, ESTIMATED) == 0.75  # rows 0, 1, 2
    assert metrics.less_strict_top2(REFERENCE, ESTIMATED) == 0.5  # rows 0, 1
    assert metrics.top_k_agreement(REFERENCE, ESTIMATED, 6) == 1.0


def test_equal_values_are_ordered_by_index() -> None:
    even = np.full((1, 6), 1 / 6)
    assert metrics.top_k_agreement(even, np.array([[0.3, 0.3, 0.1, 0.1, 0.1, 0.1]]), 2) == 1.0


def test_published_vectors_give_the_published_figures() -> None:
    folder = data_root() / "published_vectors"
    if not folder.is_dir():
        pytest.skip("published_vectors is not in the data folder (MAEUM_DATA)")
    lyrics, audio = (np.load(folder / f"2015{name}.npy") for name in ("lyric", "mel"))
    lyrics, audio = lyrics.reshape(-1, 6), audio.reshape(-1, 6)
    constant = metrics.constant_distribution(lyrics, len(lyrics))
    for estimated, expected in (
        (audio, (0.785, 0.341, 0.426, 0.989, 0.821)),
        (constant, (0.784, 0.190, 0.405, 0.990, 0.800)),
    ):
        figures = (
            *(metrics.top_k_agreement(lyrics, estimated, k) for k in (1, 2, 3)),
            metrics.less_strict_top1(lyrics, estimated),
            metrics.less_strict_top2(lyrics, estimated),
        )
        assert figures == pytest.approx(expected, abs=1e-3)
    top = lyrics.argmax(axis=1), audio.argmax(axis=1)
    assert metrics.macro_f1(*top, 6) == pytest.approx(0.155, abs=1e-3)
    assert metrics.balanced_accuracy(*top) == pytest.approx(0.171, abs=1e-3)


LABELS = np.array([0, 0, 0, 1, 1, 2])
PREDICTIONS = np.array([0, 0, 1, 1, 2, 2])


def test_class_measures_by_hand() -> None:
    assert metrics.accuracy(LABELS, PREDICTIONS) == pytest.approx(4 / 6)
    assert metrics.confusion(LABELS, PREDICTIONS, 3).tolist() == [[2, 1, 0], [0, 1, 1], [0, 0, 1]]
    # F1: 2*2/(2+3), 2*1/(2+2), 2*1/(2+1)
    assert metrics.macro_f1(LABELS, PREDICTIONS, 3) == pytest.approx((0.8 + 0.5 + 2 / 3) / 3)
    assert metrics.balanced_accuracy(LABELS, PREDICTIONS) == pytest.approx((2 / 3 + 1 / 2 + 1) / 3)


def test_agreement_with_scikit_learn() -> None:
    sklearn = pytest.importorskip("sklearn.metrics", reason="scikit-learn is in the extra train")
    generator = np.random.default_rng(1)
    labels, predictions = generator.integers(0, 5, (2, 200))
    assert metrics.macro_f1(labels, predictions, 6) == pytest.approx(
        sklearn.f1_score(labels, predictions, average="macro")
    )
    assert metrics.balanced_accuracy(labels, predictions) == pytest.approx(
        sklearn.balanced_accuracy_score(labels, predictions)
    )
    probabilities = generator.dirichlet(np.ones(5), 200)
    assert metrics.nll(probabilities, labels) == pytest.approx(
        sklearn.log_loss(labels, probabilities, labels=range(5))
    )


def test_a_constant_answer_scores_by_chance() -> None:
    constant = metrics.constant_prediction(LABELS, 6)
    assert constant.tolist() == [0] * 6
    assert metrics.balanced_accuracy(LABELS, constant) == pytest.approx(1 / 3)


def test_nll_by_hand() -> None:
    probabilities = np.array([[0.5, 0.5], [0.25, 0.75]])
    expected = -(np.log(0.5) + np.log(0.25)) / 2
    assert metrics.nll(probabilities, np.array([0, 0])) == pytest.approx(expected)
    assert np.isfinite(metrics.nll(np.array([[0.0, 1.0]]), np.array([0])))


def test_ece_by_hand() -> None:
    # Confidence 0.8, half right: 0.3. Confidence 0.6, all right: 0.4.
    probabilities = np.array([[0.8, 0.2], [0.8, 0.2], [0.6, 0.4], [0.4, 0.6]])
    assert metrics.ece(probabilities, np.array([0, 1, 0, 1])) == pytest.approx(0.35)
    certain = np.array([[1.0, 0.0], [0.0, 1.0]])
    assert metrics.ece(certain, np.array([0, 1])) == 0.0
    assert metrics.ece(certain, np.array([1, 0])) == 1.0


def test_pearson_r() -> None:
    x = np.array([1.0, 2.0, 3.0, 5.0])
    assert metrics.pearson_r(x, 3 * x - 1) == pytest.approx(1.0)
    assert metrics.pearson_r(x, -x) == pytest.approx(-1.0)
    assert metrics.pearson_r(x, np.full(4, 0.3)) == 0.0
    y = np.array([2.0, 1.0, 4.0, 3.0])
    assert metrics.pearson_r(x, y) == pytest.approx(np.corrcoef(x, y)[0, 1])


def test_bootstrap_interval_holds_the_value_and_is_seeded() -> None:
    generator = np.random.default_rng(2)
    labels = generator.integers(0, 3, 300)
    predictions = np.where(generator.random(300) < 0.7, labels, (labels + 1) % 3)
    low, high = metrics.bootstrap_interval(metrics.accuracy, labels, predictions, seed=3, n=300)
    assert low < metrics.accuracy(labels, predictions) < high
    # The normal approximation: 1.96 * sqrt(0.7 * 0.3 / 300) = 0.052 to each side.
    assert high - low == pytest.approx(2 * 0.052, rel=0.2)
    again = metrics.bootstrap_interval(metrics.accuracy, labels, predictions, seed=3, n=300)
    assert again == (low, high)


@pytest.mark.parametrize(
    "call",
    [
        lambda: metrics.accuracy(np.array([], dtype=int), np.array([], dtype=int)),
        lambda: metrics.accuracy(np.array([0, 1]), np.array([0])),
        lambda: metrics.accuracy(np.array([0.5]), np.array([0.5])),  # type: ignore[arg-type]
        lambda: metrics.macro_f1(np.array([6]), np.array([0]), 6),
        lambda: metrics.macro_f1(np.array([-1]), np.array([0]), 6),
        lambda: metrics.top_k_agreement(REFERENCE, ESTIMATED, 7),
        lambda: metrics.top_k_agreement(REFERENCE[:0], ESTIMATED[:0], 1),
        lambda: metrics.nll(np.array([[0.9, 0.9]]), np.array([0])),
        lambda: metrics.ece(np.array([[0.5, 0.5]]), np.array([0, 1])),
        lambda: metrics.pearson_r(np.array([1.0]), np.array([1.0])),
        lambda: metrics.bootstrap_interval(np.mean, np.array([]), seed=0),
    ],
)
def test_input_that_cannot_be_measured(call) -> None:
    with pytest.raises(InputError):
        call()
