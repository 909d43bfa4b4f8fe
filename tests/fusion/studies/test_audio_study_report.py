"""Sentences and tables of the study of audio models, by hand."""

from __future__ import annotations

import pytest

from fusion.studies.audio_study_report import (
    BASELINES,
    CONSTANT,
    FIGURES,
    JOINT,
    LINEAR,
    PROMISED,
    WITHOUT_EMBEDDING,
    FoldTable,
    alone_name,
    as_markdown,
    fine_tuned_name,
    frozen_name,
    nothing_name,
    promised,
    sentences,
    specialised_shares,
)

ALONE = [alone_name(name) for name in ("ravdess_song", "emotify", "emopia")]
SIMCLR = [make("net") for make in (nothing_name, frozen_name, fine_tuned_name)]
NOTHING, FROZEN, TUNED = SIMCLR
HALF = 12.7062 / 2  # Student's t with one degree of freedom: of the distance of two values


def table_of(
    changes: dict[tuple[str, str], list[float]] | None = None,
    rows: tuple[str, ...] = (JOINT, WITHOUT_EMBEDDING, *ALONE, *SIMCLR),
    folds: tuple[int, ...] = (0, 1, 2, 3, 4),
) -> FoldTable:
    """Two seeds in which every figure of every row is 0.5, but for some (row, figure)."""
    seeds = []
    for seed in range(2):
        figures = {row: dict.fromkeys(FIGURES, 0.5) for row in (*BASELINES, *rows)}
        for (row, figure), values in (changes or {}).items():
            figures[row][figure] = values[seed]
        seeds.append(figures)
    return FoldTable(folds, dict.fromkeys(FIGURES, 100), seeds)


def told(table: FoldTable, *others: FoldTable, simclr: dict | None = None) -> dict[str, list[str]]:
    results = {
        "promised": promised(table),
        "shares": specialised_shares(table),
        "simclr": simclr,
    }
    return sentences(results, [table, *others])


def pretrained(held_out_fold: int | None = None, **recordings: int) -> dict:
    return {
        "name": "net",
        "held_out_fold": held_out_fold,
        "recordings": recordings,
        "epochs": 24,
    }


def test_the_promised_figures_are_judged_by_the_mean() -> None:
    table = table_of({(JOINT, "ravdess_song"): [0.7, 0.9], (JOINT, "emotify"): [0.64, 0.65]})
    found = promised(table)
    assert {figure: own["reached"] for figure, own in found.items()} == {
        "ravdess_song": True,
        "emotify": False,
        "emopia_validation": False,
    }
    low, high = 0.8 - 0.2 * HALF, 0.8 + 0.2 * HALF
    assert told(table)["What was promised"][0] == (
        "By its mean, the joint network reaches the promised 0.80 of RAVDESS song macro-F1: 0.800 "
        f"({low:.3f} to {high:.3f})."
    )
    assert "misses the promised 0.65 of Emotify mean r" in told(table)["What was promised"][1]
    assert promised(table_of(rows=tuple(ALONE))) == {}


def test_shares_are_ratios_of_the_same_seed() -> None:
    table = table_of(
        {
            (JOINT, "ravdess_song"): [0.4, 0.9],
            (alone_name("ravdess_song"), "ravdess_song"): [0.5, 0.9],
        }
    )
    share = specialised_shares(table)["ravdess_song"]
    assert share["mean"] == pytest.approx(0.9)  # of 0.8 and 1.0; not 0.65 of 0.7
    assert share["interval"] == pytest.approx([0.9 - 0.2 * HALF, 0.9 + 0.2 * HALF], abs=1e-4)
    # EMOPIA's validation split and its folds both beside the one that knows EMOPIA alone
    assert specialised_shares(table)["emopia_validation"]["mean"] == 1.0


@pytest.mark.parametrize(
    ("values", "end"),
    [
        ([0.48, 0.48], "96.0% (96.0% to 96.0%) of emotify alone: at least 95%, with its whole"),
        ([0.46, 0.50], "of emotify alone: at least 95%, by the mean, though its interval reaches"),
        ([0.46, 0.48], "of emotify alone: less than 95%, by the mean, though its interval reaches"),
        ([0.45, 0.45], "90.0% (90.0% to 90.0%) of emotify alone: less than 95%, with its whole"),
    ],
)
def test_how_sure_a_share_is(values: list[float], end: str) -> None:
    table = table_of({(JOINT, "emotify"): values})
    found = told(table)["One network or one for each data set"]
    assert end in found[1]
    enough = 3 if sum(values) >= 0.95 else 2
    assert found[-1].startswith(f"By the mean that is at least 95% on {enough} of 3 data sets")


def test_no_share_of_nothing() -> None:
    table = table_of({(alone_name("emotify"), "emotify"): [0.5, -0.1]})
    assert "emotify" not in specialised_shares(table)
    only = specialised_shares(table_of(rows=(JOINT,)))
    assert only == {}


def test_what_the_embedding_adds() -> None:
    table = table_of({(JOINT, "emotify"): [0.7, 0.7], (JOINT, "emopia"): [0.4, 0.4]})
    (found,) = told(table)["What the embedding adds"]
    assert found.startswith(
        "The joint network is better than the same without the embedding on Emotify mean r "
        "(+0.200, +0.200 to +0.200); is worse on EMOPIA out-of-fold accuracy (-0.100"
    )
    assert "What the embedding adds" not in told(table_of(rows=(JOINT,)))


def test_frozen_features_are_counted_on_three_data_sets() -> None:
    changes = {
        (FROZEN, "ravdess_song"): [0.6, 0.6],
        (FROZEN, "emotify"): [0.4, 0.4],
        (FROZEN, "emopia_validation"): [0.5, 0.7],
        (FROZEN, "emopia"): [0.9, 0.9],  # the same data set again: told, not counted
    }
    found = told(table_of(changes), simclr=pretrained(emotify=80))["SimCLR"]
    assert found[0].startswith("A frozen net of SimCLR is better than the same network trained")
    assert found[1] == (
        "So it is better on 1 of 3 data sets, worse on 1, and on 1 it cannot be told; by the mean "
        "alone it is higher on 2. At least 2 were promised: missed."
    )
    assert found[2].startswith("As far as the numbers say why not: a perceptron on frozen features")
    reached = {(FROZEN, figure): [0.6, 0.6] for figure in ("ravdess_song", "emotify")}
    found = told(table_of(reached), simclr=pretrained(emotify=80))["SimCLR"]
    assert "At least 2 were promised: reached." in found[1]
    assert not any("why not" in sentence for sentence in found)


def test_training_further_is_told_beside_both() -> None:
    changes = {(TUNED, "emotify"): [0.7, 0.7]}
    found = told(table_of(changes), simclr=pretrained(emotify=80))["SimCLR"]
    assert "the backbone is better than it trained from nothing on Emotify" in found[-3]
    assert "the backbone is better than it frozen on Emotify" in found[-2]


@pytest.mark.parametrize(
    ("simclr", "end"),
    [
        (pretrained(2, emotify=320), "heard 320 of emotify 24 times, none of fold 2, on which"),
        (pretrained(None, emotify=400), "may have heard the held-out recordings (folds 0, 1"),
        (pretrained(None, arena=9_000), "heard 9,000 of arena 24 times, none of these data sets."),
        (pretrained(None), "heard recordings that are not known 24 times: it may have heard"),
    ],
)
def test_what_the_pretraining_heard(simclr: dict, end: str) -> None:
    assert end in told(table_of(), simclr=simclr)["SimCLR"][-1]


def test_fewer_folds_are_compared_on_these_alone() -> None:
    whole = table_of({(NOTHING, "emotify"): [0.1, 0.1]}, rows=(JOINT, NOTHING))
    part = table_of({(NOTHING, "emotify"): [0.9, 0.9]}, rows=(JOINT, *SIMCLR), folds=(2,))
    found = told(whole, part, simclr=pretrained(2, emotify=320))["SimCLR"]
    assert "is worse than the same network trained from nothing on Emotify mean r (-0.4" in found[0]


def test_without_rows_there_is_nothing_to_say() -> None:
    assert told(table_of(rows=(ALONE[0],)), simclr=None) == {}


def test_the_differences_told_are_counted() -> None:
    (sure,) = told(table_of({(JOINT, "emotify"): [0.9, 0.9]}))["How sure this is"]
    # three baselines and the embedding, four figures each; Emotify in all four
    assert sure.startswith("4 of the 16 differences told here have an interval without zero")


def test_the_tables() -> None:
    table = table_of({(JOINT, "emotify"): [0.6, 0.8]})
    for figures in table.seeds:
        figures[ALONE[0]] = {"ravdess_song": 0.5, "six_ravdess_song": 0.4}
        figures[CONSTANT]["six_ravdess_song"] = 0.1
    part = table_of(rows=(JOINT, FROZEN), folds=(2,))
    results = {
        "command": "maeum study audio",
        "settings": {"seeds": 2, "epochs": 1, "batches": 1},
        "batch": {"ravdess_song": 24, "emotify": 16, "emopia": 24},
        "recordings": {"emotify": 400},
        "minutes": 2.0,
        "simclr": None,
        "networks": {
            JOINT: {
                "parameters": 1_234,
                "trained": 1_000,
                "window_s": 9.984,
                "receptive_bands": None,
                "receptive_frames": None,
                "receptive_s": None,
                "whole": ["statistics of the whole window"],
            }
        },
        "promised": promised(table),
        "shares": specialised_shares(table),
        "tables": [
            {"folds": list(t.folds), "counts": t.counts, "rows": t.summary()} for t in (table, part)
        ],
    }
    results["sentences"] = sentences(results, [table, part])
    text = as_markdown(results)
    lines = text.splitlines()
    r = f"{0.7 - 0.2 * HALF:.3f} to {0.7 + 0.2 * HALF:.3f}"
    assert f"| Emotify mean r | {PROMISED['emotify']:.2f} | 0.700 ({r}) | reached |" in lines
    assert f"| {LINEAR} | 0.500 | 0.500 | 0.500 | 0.500 |" in lines
    assert f"| {ALONE[0]} | 0.500 (0.500 to 0.500) |  |  |  |" in lines
    assert f"| {ALONE[0]} | 0.400 (0.400 to 0.400) |  |  |  |" in lines
    assert f"| {CONSTANT} | 0.100 |  |  |  |" in lines
    assert "## Held out: folds 0, 1, 2, 3 and 4" in lines
    assert "## Held out: fold 2" in lines
    assert "(audio_study.png)" in text
    assert "(audio_study_folds_2.png)" in text
    assert (
        "| joint | 1,234 | 1,000 | 9.98 s | the whole window | statistics of the whole window |"
    ) in lines
