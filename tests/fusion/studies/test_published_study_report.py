"""Sentences of the study: better, worse, cannot be told."""

from __future__ import annotations

import pytest

from fusion.studies.published_figures import PEOPLE_FIGURES, WORDS_FIGURES
from fusion.studies.published_study_report import (
    CONSTANT_PEOPLE,
    CONSTANT_WORDS,
    HEARD,
    Difference,
    Seed,
    as_markdown,
    published_sentence,
    row_name,
    sentences,
    summarise,
    told_sentence,
)

ROWS = [
    row_name(arm, balance, corrected=corrected)
    for arm in ("words", "sound")
    for balance in ("none", "weights")
    for corrected in (False, True)
]


def seeds_of(changes: dict[tuple[str, str], list[float]]) -> list[Seed]:
    """Two seeds in which every figure of every row is 0.5, but for some (row, figure)."""
    made = []
    for seed in range(2):
        figures = {
            row: dict.fromkeys([*WORDS_FIGURES, *PEOPLE_FIGURES], 0.5)
            for row in (CONSTANT_WORDS, CONSTANT_PEOPLE, *ROWS)
        }
        for (row, figure), values in changes.items():
            figures[row][figure] = values[seed]
        said = {row: [1 / 6] * 6 for row in figures}
        made.append(Seed(figures, said, [1 / 6] * 6, [1 / 6] * 6))
    return made


def told(seeds: list[Seed]) -> dict[str, list[str]]:
    results = {
        "published": None,
        "words": {"say": [0, 0, 0, 0.784, 0, 0.216]},
        **summarise(seeds),
    }
    return sentences(results, seeds)


def test_names_of_rows() -> None:
    assert row_name("words", "none", corrected=False) == "words"
    assert row_name("sound", "weights", corrected=True) == "sound, class weights, prior corrected"


def test_better_worse_and_what_cannot_be_told() -> None:
    differences = [
        Difference("top1", "higher", 0.2, 0.1, 0.3),
        Difference("macro_f1", "none", 0.0, -0.1, 0.1),
        Difference("emopia", "lower", -0.2, -0.3, -0.1),
        Difference("top2", "higher", 0.4, 0.3, 0.5),
    ]
    assert told_sentence("it", differences, "the other") == (
        "It is better than the other on Top-1 (+0.200, +0.100 to +0.300) and Top-2 (+0.400, "
        "+0.300 to +0.500); is worse on EMOPIA macro-F1 (-0.200, -0.300 to -0.100); and cannot be "
        "told from it on macro-F1 (+0.000, -0.100 to +0.100)."
    )
    assert told_sentence("it", differences[1:2], "the other") == (
        "It cannot be told from the other on macro-F1 (+0.000, -0.100 to +0.100)."
    )


def test_intervals_are_of_paired_differences() -> None:
    seeds = seeds_of({("sound", "emopia"): [0.7, 0.9]})
    row = summarise(seeds)["rows"]["sound"]["emopia"]
    assert row["mean"] == pytest.approx(0.8)
    # Student's t with one degree of freedom, 12.706, times half the distance of the two
    assert row["interval"] == pytest.approx([0.8 - 1.2706, 0.8 + 1.2706], abs=1e-4)
    found = told(seeds)["The same network on labels that people gave to sound"]
    assert "cannot be told from the constant answer of people's labels" in found[0]
    assert "EMOPIA macro-F1 (+0.300, -0.971 to +1.571)" in found[0]


def test_what_floats_alone_make_differ_is_the_same() -> None:
    seeds = seeds_of({("sound", "emotify"): [0.5 - 1e-8, 0.5 - 1e-8]})
    found = told(seeds)["The same network on labels that people gave to sound"]
    assert "cannot be told from" in found[0]
    assert "Emotify mean r (+0.000, +0.000 to +0.000)" in found[0]


def test_the_conclusions_follow_the_numbers() -> None:
    better = {("sound", figure): [0.8, 0.8] for figure in HEARD}
    found = told(seeds_of(better))
    sound = found["The same network on labels that people gave to sound"]
    assert sound[0].startswith("The network trained on people's labels is better than the constant")
    assert sound[1].count("+0.300, +0.300 to +0.300") == 3
    assert "Judged by the words, the network trained on people's labels cannot be told" in sound[2]
    last = found["Imbalance or labels"]
    assert last[-1] == (
        "However the imbalance was counteracted, the words' labels taught less than people's on "
        "RAVDESS macro-F1, EMOPIA macro-F1 and Emotify mean r: there the labels failed, not their "
        "imbalance alone."
    )
    # where prior correction makes up for the words' labels, that is said
    repaired = {("words, prior corrected", "emopia"): [0.8, 0.8]}
    last = told(seeds_of(better | repaired))["Imbalance or labels"]
    assert last[-2].startswith("However the imbalance was counteracted")
    assert "EMOPIA" not in last[-2]
    assert last[-1] == ("On EMOPIA macro-F1 this cannot be said of every way of counteracting it.")
    nothing = told(seeds_of({}))["Imbalance or labels"]
    assert not any("However" in sentence for sentence in nothing)


def test_what_counteracting_changes_is_told_either_way() -> None:
    changes = {
        ("words, class weights", "says_sadness"): [0.1, 0.1],
        ("words, class weights", "top1"): [0.2, 0.2],
        ("words, prior corrected", "says_sadness"): [0.9, 0.9],
        ("words, prior corrected", "ravdess_song"): [0.6, 0.6],
    }
    found = " ".join(told(seeds_of(changes))["Imbalance counteracted, the words' labels"])
    weights, rest = found.split("With prior correction it")
    prior, both = rest.split("With class weights and prior correction it")
    assert "is worse than the plain one on Top-1 (-0.300" in weights
    assert "It says sadness less often (share of recordings -0.400" in weights
    assert "is better than the plain one on RAVDESS macro-F1 (+0.100" in prior
    assert "It says sadness more often (share of recordings +0.400" in prior
    assert "Whether it says sadness more or less often cannot be told" in both
    sure = told(seeds_of(changes))["How sure this is"][0]
    # also: plain words against the words corrected in the comparison with people's labels
    assert sure.startswith("5 of the ")


def published(difference: float, low: float, high: float) -> dict:
    return {
        "songs": 1_000,
        "top1_difference": difference,
        "top1_difference_interval": [low, high],
        "model": {"top1": 0.785, "says_sadness": 0.9985},
        "constant": {"top1": 0.784},
        "words_say": [0.0, 0.0, 0.0, 0.784, 0.0, 0.216],
    }


@pytest.mark.parametrize(
    ("interval", "way"),
    [((0.01, 0.02), "is better than"), ((-0.2, -0.1), "is worse than"), ((-1, 1), "cannot be")],
)
def test_the_published_model_beside_its_constant(interval, way: str) -> None:
    found = published_sentence(published(0.0, *interval))
    assert found.startswith(f"The published audio model {way}")
    assert "99.85% of the 1,000 songs" in found
    assert found.endswith("their words for 78.4%.")


def test_rows_without_a_figure_have_an_empty_cell() -> None:
    seeds = seeds_of({})
    for seed in seeds:
        for figures in seed.figures.values():
            del figures["emopia"]
    results = {
        "command": "maeum study published-audio",
        "settings": {"seeds": 2, "epochs": 1, "batches": 1},
        "window_s": 5.0,
        "windows_per_batch": 64,
        "recordings": {"ravdess_song": 3},
        "minutes": 1.0,
        "published": None,
        "words": {
            "sad_share": 0.784,
            "texts_read": [2] * 6,
            "texts_kept": [1] * 6,
            "texts_used": 6.0,
            "most_uses": 2,
            "say": [0, 0, 0, 0.784, 0, 0.216],
            "mean": [1 / 6] * 6,
            "people_mean": [1 / 6] * 6,
            "fitting": 0.4,
        },
        **summarise(seeds),
    }
    results["sentences"] = sentences(results, seeds)
    text = as_markdown(results)
    assert "| sound | 0.500 (0.500 to 0.500) |  | 0.500 (0.500 to 0.500) |" in text
    assert "EMOPIA macro-F1 (" not in text
    assert "published: audio model" not in text
