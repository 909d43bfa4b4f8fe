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


def test_reliability_by_hand() -> None:
    confidence = np.array([0.05, 0.5, 0.55, 0.7, 0.72, 1.0])
    right = np.array([False, True, False, True, True, True])
    bins = metrics.reliability(confidence, right, n_bins=4)  # edges 0.25, 0.5, 0.75
    assert bins.counts.tolist() == [1, 1, 3, 1]
    assert bins.accuracy.tolist() == pytest.approx([0.0, 1.0, 2 / 3, 1.0])
    assert bins.confidence.tolist() == pytest.approx([0.05, 0.5, 1.97 / 3, 1.0])
    assert bins.ece == pytest.approx((0.05 + 0.5 + (2 - 1.97) + 0.0) / 6)
    assert np.isnan(metrics.reliability(confidence[:1], right[:1], n_bins=4).accuracy[1:]).all()


# Rows:                    {0}          {0, 1}       {1}          {2}, the fourth class unused
MEMBERS = np.array([[1, 0, 0, 0], [1, 1, 0, 0], [0, 1, 0, 0], [0, 0, 1, 0]], dtype=bool)
ANSWERS = np.array([[1, 0, 0, 0], [1, 0, 1, 0], [1, 1, 0, 0], [0, 0, 0, 0]], dtype=bool)


def test_figures_of_several_labels_by_hand() -> None:
    figures = metrics.class_figures(MEMBERS, ANSWERS)
    assert figures.support.tolist() == [2, 2, 1, 0]
    assert figures.precision.tolist() == pytest.approx([2 / 3, 1, 0, 0])
    assert figures.recall.tolist() == pytest.approx([1, 1 / 2, 0, 0])
    assert figures.f1.tolist() == pytest.approx([4 / 5, 2 / 3, 0, 0])
    assert figures.present.tolist() == [True, True, True, False]
    assert figures.macro_f1 == pytest.approx((4 / 5 + 2 / 3) / 3)
    assert figures.micro_f1 == pytest.approx(2 * 3 / (5 + 5))
    assert figures.balanced_accuracy == pytest.approx(1.5 / 3)


def test_figures_of_one_label_are_those_of_classes() -> None:
    figures = metrics.class_figures(
        metrics.memberships(LABELS, 4), metrics.memberships(PREDICTIONS, 4)
    )
    assert figures.macro_f1 == pytest.approx(metrics.macro_f1(LABELS, PREDICTIONS, 4))
    assert figures.micro_f1 == pytest.approx(metrics.accuracy(LABELS, PREDICTIONS))
    assert figures.balanced_accuracy == pytest.approx(
        metrics.balanced_accuracy(LABELS, PREDICTIONS)
    )


def test_several_labels_agree_with_scikit_learn() -> None:
    sklearn = pytest.importorskip("sklearn.metrics", reason="scikit-learn is in the extra train")
    generator = np.random.default_rng(4)
    reference, predicted = generator.random((2, 300, 5)) < 0.3
    figures = metrics.class_figures(reference, predicted)
    for average, ours in (("macro", figures.macro_f1), ("micro", figures.micro_f1)):
        theirs = sklearn.f1_score(reference, predicted, average=average, zero_division=0)
        assert ours == pytest.approx(theirs)
    precision, recall, f1, support = sklearn.precision_recall_fscore_support(
        reference, predicted, zero_division=0
    )
    assert figures.precision == pytest.approx(precision)
    assert figures.recall == pytest.approx(recall)
    assert figures.f1 == pytest.approx(f1)
    assert figures.support.tolist() == support.tolist()


def test_cross_entropy() -> None:
    reference = np.array([[0.5, 0.5, 0.0], [0.0, 0.0, 1.0]])
    estimated = np.array([[0.25, 0.5, 0.25], [0.1, 0.1, 0.8]])
    by_hand = -(0.5 * np.log(0.25) + 0.5 * np.log(0.5) + np.log(0.8)) / 2
    assert metrics.cross_entropy(reference, estimated) == pytest.approx(by_hand)
    labels = np.array([2, 0])
    assert metrics.cross_entropy(np.eye(3)[labels], estimated) == pytest.approx(
        metrics.nll(estimated, labels)
    )
    # Nothing scores better than the reference itself, which scores its entropy.
    assert metrics.cross_entropy(reference, reference) == pytest.approx(np.log(2) / 2)
    assert metrics.cross_entropy(reference, reference) < by_hand


SIMILARITY = np.array([[1.0, 0.5, 0.0], [0.5, 1.0, 0.2], [0.0, 0.2, 1.0]])


def test_similarity_score_by_hand() -> None:
    reference = np.eye(3)[[0, 2]]
    estimated = np.array([[0.6, 0.4, 0.0], [0.5, 0.3, 0.2]])
    # Row 0: 1*.6 + .5*.4; row 1: 0*.5 + .2*.3 + 1*.2.
    assert metrics.similarity_score(SIMILARITY, reference, estimated) == pytest.approx(
        (0.8 + 0.26) / 2
    )
    half = np.array([[0.5, 0.5, 0.0]])
    assert metrics.similarity_score(SIMILARITY, half, half) == pytest.approx(0.75)
    assert metrics.similarity_score(SIMILARITY, reference, reference) == 1.0
    # Without similarity between labels it is the mean probability of the right one.
    assert metrics.similarity_score(np.eye(3), reference, estimated) == pytest.approx(0.4)


def _right(only_first: int, only_second: int, both: int, neither: int) -> tuple:
    first = [True] * (only_first + both) + [False] * (only_second + neither)
    second = [False] * only_first + [True] * (both + only_second) + [False] * neither
    return np.array(first), np.array(second)


def test_mcnemar_by_hand() -> None:
    exact = metrics.mcnemar(*_right(1, 5, 10, 3))
    assert (exact.only_first, exact.only_second, exact.exact) == (1, 5, True)
    assert exact.p_value == pytest.approx(2 * (1 + 6) / 64)  # 2 · P(at most 1 of 6)
    # (|10 - 30| - 1)² / 40 = 9.025, whose tail is that of a normal beyond 3.0042.
    chi_square = metrics.mcnemar(*_right(10, 30, 50, 7))
    assert chi_square.statistic == pytest.approx(9.025)
    assert chi_square.p_value == pytest.approx(0.002663, abs=1e-6)
    assert metrics.mcnemar(*_right(0, 0, 4, 4)).p_value == 1.0
    assert metrics.mcnemar(*_right(3, 3, 4, 4)).p_value == 1.0
    assert metrics.mcnemar(*_right(20, 20, 0, 0)).p_value == 1.0
    # Which of the two comes first does not matter.
    for counts in ((2, 9), (40, 12)):
        one, other = (
            metrics.mcnemar(*_right(*counts, 5, 5)),
            metrics.mcnemar(*_right(*counts[::-1], 5, 5)),
        )
        assert one.p_value == other.p_value


@pytest.mark.parametrize(
    ("only_first", "only_second"), [(0, 1), (3, 9), (12, 12), (13, 12), (90, 41)]
)
def test_mcnemar_agrees_with_scipy(only_first: int, only_second: int) -> None:
    stats = pytest.importorskip("scipy.stats")
    ours = metrics.mcnemar(*_right(only_first, only_second, 7, 2))
    pairs = only_first + only_second
    if ours.exact:
        assert pairs < metrics.EXACT_BELOW
        theirs = stats.binomtest(only_first, pairs, 0.5).pvalue
    else:
        theirs = stats.chi2.sf((max(abs(only_first - only_second) - 1, 0)) ** 2 / pairs, 1)
    assert ours.p_value == pytest.approx(theirs)


def test_mcnemar_agrees_with_statsmodels() -> None:
    tables = pytest.importorskip("statsmodels.stats.contingency_tables")
    for counts in ((3, 9), (90, 41)):
        ours = metrics.mcnemar(*_right(*counts, 7, 2))
        table = [[7, counts[0]], [counts[1], 2]]
        theirs = tables.mcnemar(table, exact=ours.exact, correction=True)
        assert ours.p_value == pytest.approx(theirs.pvalue)


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


def test_resampled_sums_are_those_of_the_bootstrap() -> None:
    generator = np.random.default_rng(5)
    values = generator.normal(size=70)
    sums = metrics.resampled_sums(np.stack([values, np.ones(70)], axis=1), seed=6, n=90)
    assert sums.shape == (90, 2)
    assert np.all(sums[:, 1] == 70)
    interval = metrics.percentile_interval(sums[:, 0] / 70)
    means = metrics.bootstrap_interval(lambda rows: float(rows.mean()), values, seed=6, n=90)
    assert interval == pytest.approx(means)
    assert metrics.percentile_interval(np.arange(101.0), level=0.9) == pytest.approx((5, 95))


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
        lambda: metrics.reliability(np.array([0.5]), np.array([True, False])),
        lambda: metrics.reliability(np.array([0.5]), np.array([True]), n_bins=0),
        lambda: metrics.class_figures(MEMBERS, ANSWERS[:, :3]),
        lambda: metrics.class_figures(np.zeros((3, 2)), np.ones((3, 2))),
        lambda: metrics.memberships(np.array([3]), 3),
        lambda: metrics.cross_entropy(np.array([[0.5, 0.6]]), np.array([[0.5, 0.5]])),
        lambda: metrics.cross_entropy(np.array([[1.0, 0.0]]), np.array([[1.0]])),
        lambda: metrics.similarity_score(np.eye(2), np.eye(3), np.eye(3)),
        lambda: metrics.similarity_score(-np.eye(3), np.eye(3), np.eye(3)),
        lambda: metrics.similarity_score(np.zeros((3, 3)), np.eye(3), np.eye(3)),
        lambda: metrics.mcnemar(np.array([True]), np.array([True, False])),
        lambda: metrics.pearson_r(np.array([1.0]), np.array([1.0])),
        lambda: metrics.bootstrap_interval(np.mean, np.array([]), seed=0),
        lambda: metrics.resampled_sums(np.zeros((0, 2)), seed=0),
        lambda: metrics.resampled_sums(np.zeros(3), seed=0),
        lambda: metrics.resampled_sums(np.zeros((3, 1)), seed=0, n=0),
    ],
)
def test_input_that_cannot_be_measured(call) -> None:
    with pytest.raises(InputError):
        call()


def test_total_variation_by_hand() -> None:
    before = np.array([[0.5, 0.5, 0.0], [1.0, 0.0, 0.0], [0.2, 0.3, 0.5]])
    after = np.array([[0.5, 0.5, 0.0], [0.0, 0.0, 1.0], [0.4, 0.3, 0.3]])
    assert metrics.total_variation(before, after) == pytest.approx([0.0, 1.0, 0.2])
    with pytest.raises(InputError, match="sum to 1"):
        metrics.total_variation(before, after * 2)


def test_wilson_by_hand() -> None:
    # none of n is up to z² / (n + z²), with z = 1.959964
    low, high = metrics.wilson_interval(0, 10)
    assert (low, high) == (0.0, pytest.approx(1.959964**2 / (10 + 1.959964**2), abs=1e-6))
    low, high = metrics.wilson_interval(10, 10)
    assert (low, high) == (pytest.approx(10 / (10 + 1.959964**2), abs=1e-6), 1.0)
    assert metrics.wilson_interval(54, 60) == pytest.approx((0.7985, 0.9534), abs=1e-4)
    for arguments in ((1, 0), (-1, 5), (6, 5), (1, 5, 1.0)):
        with pytest.raises(InputError, match="successes"):
            metrics.wilson_interval(*arguments)


def test_wilson_agrees_with_statsmodels() -> None:
    proportion = pytest.importorskip(
        "statsmodels.stats.proportion", reason="statsmodels is in the extra dev"
    )
    for successes, n, level in ((0, 7, 0.95), (3, 7, 0.9), (59, 60, 0.95), (60, 60, 0.99)):
        expected = proportion.proportion_confint(successes, n, alpha=1 - level, method="wilson")
        assert metrics.wilson_interval(successes, n, level) == pytest.approx(expected, abs=1e-9)
