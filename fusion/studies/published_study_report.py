"""The report of the study of the published audio branch: tables, sentences, plots.

Intervals are Student's, 95%, over the seeds. A difference is taken seed by seed
between two rows that shared the recordings held out. Every sentence is made from
such a difference: better or worse where its interval lies on one side of zero, and
otherwise it cannot be told. Nothing is corrected for the number of sentences.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import numpy as np

from data_prep.taxonomy import EMOTIONS
from fusion.evaluation.paired_differences import (
    Difference,
    PairedDifferences,
    listed,
    sureness_sentence,
)
from fusion.evaluation.paired_differences import told_sentence as _told_sentence
from fusion.evaluation.plots import plot_bars
from fusion.evaluation.result_files import summary_cell, table_head, write_results
from fusion.studies.published_figures import PEOPLE_FIGURES, WORDS_FIGURES
from fusion.studies.published_words import SADNESS
from lyrics_model.ablation_report import Verdict, summary_of, verdict

NAME: Final = "published_audio"
CONSTANT_WORDS: Final = "constant (mean of the words' labels)"
CONSTANT_PEOPLE: Final = "constant (mean of people's labels, by data set)"
ALWAYS_SADNESS: Final = "always sadness"

HEARD: Final = ("ravdess_song", "emopia", "emotify")
"""What people's labels are told by in sentences: one figure for each data set."""

_NAMES: Final = WORDS_FIGURES | PEOPLE_FIGURES
_PLOTS: Final[dict[str, str]] = {
    name: f"{NAME}_{name}.png" for name in ("words", "sound", "labels")
}
_TITLES: Final[dict[str, str]] = {
    "words": "trained on the words' labels: what is said of recordings held out",
    "sound": "trained on people's labels: what is said of recordings held out",
    "labels": "judged by labels that people gave to sound (95% over seeds)",
}
_LEARNER: Final[dict[str, str]] = {
    "words": "the network trained on the words' labels",
    "sound": "the network trained on people's labels",
}
_CONSTANT: Final[dict[str, str]] = {
    CONSTANT_WORDS: "the constant answer of the words' labels",
    CONSTANT_PEOPLE: "the constant answer of people's labels",
}
_COUNTERED: Final[dict[str, tuple[str, bool]]] = {
    "class weights": ("weights", False),
    "prior correction": ("none", True),
    "class weights and prior correction": ("weights", True),
}


@dataclass(frozen=True, eq=False)
class Seed:
    """What one seed gave.

    Attributes
    ----------
    figures
        Row → figures on the recordings held out.
    said
        Row → share (6,) of them that each emotion is the answer to.
    words_say, people_say
        The same (6,) of the words' labels, and the mean of people's.
    """

    figures: dict[str, dict[str, float]]
    said: dict[str, list[float]]
    words_say: list[float]
    people_say: list[float]


def row_name(arm: str, balance: str, *, corrected: bool) -> str:
    """Name of a row of the tables."""
    weights = ", class weights" if balance == "weights" else ""
    return arm + weights + (", prior corrected" if corrected else "")


def write_report(
    out: Path, description: Mapping[str, Any], seeds: Sequence[Seed]
) -> dict[str, Any]:
    """Write ``published_audio.json``, ``published_audio.md`` and three plots.

    Parameters
    ----------
    description
        Settings, sizes, the published figures (``None`` where the vectors are missing)
        and the words.

    Returns
    -------
    The content of ``published_audio.json``.
    """
    results = dict(description) | summarise(seeds)
    results["sentences"] = sentences(results, seeds)
    write_results(out, NAME, results, as_markdown(results))
    _plot(out, results, seeds)
    return results


def summarise(seeds: Sequence[Seed]) -> dict[str, Any]:
    """Rows (row → figure → mean and interval), and every seed's figures."""
    names = dict.fromkeys(name for seed in seeds for name in seed.figures)
    rows: dict[str, dict[str, Any]] = {}
    for name in names:
        own = [seed.figures[name] for seed in seeds if name in seed.figures]
        rows[name] = {
            figure: summary_of([each[figure] for each in own], None)
            for figure in _NAMES
            if all(figure in each for each in own)
        }
    return {"rows": rows, "seeds": [seed.figures for seed in seeds]}


def sentences(results: Mapping[str, Any], seeds: Sequence[Seed]) -> dict[str, list[str]]:
    """What the numbers say, by question."""
    pairs = PairedDifferences([seed.figures for seed in seeds], _NAMES)
    plain = {arm: row_name(arm, "none", corrected=False) for arm in ("words", "sound")}
    heard = [name for name in HEARD if name in results["rows"][plain["words"]]]
    found: dict[str, list[str]] = {}
    if results["published"] is not None:
        found["The published figures"] = [published_sentence(results["published"])]
    words, sound = plain["words"], plain["sound"]
    of_words, of_people = _CONSTANT[CONSTANT_WORDS], _CONSTANT[CONSTANT_PEOPLE]
    found["The same here, judged by the words"] = [
        pairs.told(_LEARNER["words"], words, CONSTANT_WORDS, ("top1", "macro_f1"), of_words),
        f"It says sadness for {results['rows'][words]['says_sadness']['mean']:.1%} of recordings, "
        f"their words for {results['words']['say'][SADNESS]:.1%}.",
    ]
    found["What it hears, judged by people"] = [
        pairs.told(_LEARNER["words"], words, CONSTANT_PEOPLE, heard, of_people)
    ]
    by_words = f"judged by the words, {_LEARNER['sound']}"
    found["The same network on labels that people gave to sound"] = [
        pairs.told(_LEARNER["sound"], sound, CONSTANT_PEOPLE, heard, of_people),
        pairs.told(_LEARNER["sound"], sound, words, heard, _LEARNER["words"]),
        pairs.told(by_words, sound, CONSTANT_WORDS, ("top1",), of_words),
    ]
    for arm, labels in (("words", "the words' labels"), ("sound", "people's labels")):
        found[f"Imbalance counteracted, {labels}"] = _countered_sentences(pairs, arm, heard)
    found["Imbalance or labels"] = _imbalance_or_labels(pairs, plain["sound"], heard)
    found["How sure this is"] = [sureness_sentence(pairs.made, len(seeds))]
    return found


def published_sentence(published: Mapping[str, Any]) -> str:
    """How the published model and its constant compare in Top-1."""
    low, high = published["top1_difference_interval"]
    told = Difference("top1", verdict((low, high)), published["top1_difference"], low, high)
    return (
        told_sentence("the published audio model", [told], "the constant answer of its words")
        + f" It says sadness for {published['model']['says_sadness']:.2%} of the "
        f"{published['songs']:,} songs, their words for {published['words_say'][SADNESS]:.1%}."
    )


def told_sentence(subject: str, differences: Sequence[Difference], base: str) -> str:
    """How something compares with a base, in figures of which more is better."""
    return _told_sentence(subject, differences, base, _NAMES)


def _countered_sentences(pairs: PairedDifferences, arm: str, heard: Sequence[str]) -> list[str]:
    """What class weights, prior correction and both change."""
    found: list[str] = []
    plain = row_name(arm, "none", corrected=False)
    for what, (balance, prior) in _COUNTERED.items():
        row = row_name(arm, balance, corrected=prior)
        figures = (*heard, "top1", "macro_f1") if arm == "words" else heard
        found.append(pairs.told(f"with {what} it", row, plain, figures, "the plain one"))
        said = pairs.difference(row, plain, "says_sadness")
        ways: dict[Verdict, str] = {
            "higher": "It says sadness more often",
            "lower": "It says sadness less often",
            "none": "Whether it says sadness more or less often cannot be told",
        }
        found.append(f"{ways[said.way]} (share of recordings {said.numbers}).")
    return found


def _imbalance_or_labels(pairs: PairedDifferences, sound: str, heard: Sequence[str]) -> list[str]:
    """People's labels beside the words' labels with the imbalance counteracted."""
    found: list[str] = []
    better = dict.fromkeys(heard, True)
    for what, (balance, prior) in _COUNTERED.items():
        row = row_name("words", balance, corrected=prior)
        differences = [pairs.difference(sound, row, figure) for figure in heard]
        base = f"{_LEARNER['words']} with {what}"
        found.append(told_sentence(f"plain, {_LEARNER['sound']}", differences, base))
        for each in differences:
            better[each.figure] &= each.way == "higher"
    made_up = [_NAMES[figure] for figure in heard if not better[figure]]
    remaining = [_NAMES[figure] for figure in heard if better[figure]]
    if remaining:
        found.append(
            "However the imbalance was counteracted, the words' labels taught less than people's "
            f"on {listed(remaining)}: there the labels failed, not their imbalance alone."
        )
    if made_up:
        found.append(f"On {listed(made_up)} this cannot be said of every way of counteracting it.")
    return found


def as_markdown(results: Mapping[str, Any]) -> str:
    """``published_audio.md``."""
    lines = [
        "# Why the published audio branch failed",
        "",
        f"Command: `{results['command']}`.",
        "",
        *_setting_lines(results),
        "",
        "## What the numbers say",
        "",
    ]
    for title, told in results["sentences"].items():
        lines.append(f"- **{title}.** {' '.join(told)}")
    lines += ["", *_words_lines(results), "", *_people_lines(results), "", *_label_lines(results)]
    return "\n".join(lines) + "\n"


def _setting_lines(results: Mapping[str, Any]) -> list[str]:
    settings, words = results["settings"], results["words"]
    recordings = ", ".join(f"{n:,} of {name}" for name, n in results["recordings"].items())
    read, kept = sum(words["texts_read"]), sum(words["texts_kept"])
    seeds = settings["seeds"]
    return [
        "The published audio branch learned to repeat what the lyric branch said of a song's "
        "words. That experiment is made again at the scale at hand, beside the same network on "
        "labels that people gave to sound. Both arms have the same recordings, network "
        f"(small-cnn), windows ({results['window_s']:.1f} s), steps "
        f"({settings['epochs']} × {settings['batches']} batches of {results['windows_per_batch']} "
        f"windows) and seeds; recordings: {recordings}. Seed s holds out fold s (of actors, "
        "recordings, songs), modulo five; all figures are on the recordings held out.",
        "",
        f"**words**: no open set has words, sound and labels for the same songs, so every "
        f"recording is given a text. {words['sad_share']:.1%} of them are given one of sadness, as "
        "in the published catalogue: those that sound sad and, drawn at random, others whatever "
        "they sound like; the rest are given one whose emotion their sound's label allows. The "
        "label is the lyric model's plain answer to the text, six numbers. Texts: test texts that "
        f"it never learned from; of {read:,} that were read the {kept:,} to which it answers as "
        "people do, so that the imbalance is one of answers, as the published one is. A seed used "
        f"{words['texts_used']:,.0f} of them, none more than {words['most_uses']} times. The "
        f"emotion of the words fits the sound's label in {words['fitting']:.1%} of recordings. "
        "**sound**: what people said of the "
        "recordings, in the labels of each data set and in the six. One difference follows from "
        "that: the second arm also has a loss on each data set's own labels.",
        "",
        "**class weights** weigh each label by the inverse of its frequency in training; **prior "
        "corrected** answers are divided by the mean answer to the training recordings. *Plain* "
        "is neither. Means over "
        f"{seeds} seeds with Student's 95% interval; differences are paired by seed. All runs took "
        f"{results['minutes']:.0f} minutes.",
    ]


def _words_lines(results: Mapping[str, Any]) -> list[str]:
    lines = [
        "## Judged by the words' labels, as the published table was",
        "",
        "Top-2 and Top-3: the same set of the strongest two and three. Less-strict 1: one of the "
        "two strongest shared; less-strict 2: two of three.",
        "",
        *table_head(WORDS_FIGURES, "answers"),
    ]
    if results["published"] is not None:
        for name, key in (("audio model", "model"), ("constant (mean lyric vector)", "constant")):
            cells = [f"{results['published'][key][figure]:.3f}" for figure in WORDS_FIGURES]
            lines.append(f"| published: {name} | {' | '.join(cells)} |")
    return lines + _row_lines(results, WORDS_FIGURES) + ["", *_images(("words", "sound"))]


def _people_lines(results: Mapping[str, Any]) -> list[str]:
    return [
        "## Judged by labels that people gave to sound",
        "",
        "Sung phrases of RAVDESS and quadrants of EMOPIA have one class and no second place, so "
        "Top-2, Top-3 and the less strict figures exist for Emotify's shares of four emotions "
        "alone. Two sets of three of four always share two: less-strict 2 is 1 whatever is "
        "answered.",
        "",
        *table_head(PEOPLE_FIGURES, "answers"),
        *_row_lines(results, PEOPLE_FIGURES),
        "",
        f"![{_TITLES['labels']}]({_PLOTS['labels']})",
    ]


def _label_lines(results: Mapping[str, Any]) -> list[str]:
    words, published = results["words"], results["published"]
    lines = [
        "## The imbalance",
        "",
        *table_head(dict(zip(EMOTIONS, EMOTIONS, strict=True)), "share of"),
    ]
    rows = {
        "recordings whose words say it": words["say"],
        "the words' labels, mean": words["mean"],
        "people's labels, mean (undecided ones divided)": words["people_mean"],
    }
    if published is not None:
        rows = {
            "published songs whose words say it": published["words_say"],
            "published words' vectors, mean": published["words_mean"],
            "published songs whose sound says it": published["sound_says"],
        } | rows
    for name, shares in rows.items():
        lines.append(f"| {name} | {' | '.join(f'{share:.1%}' for share in shares)} |")
    return [
        *lines,
        "",
        "## Limits",
        "",
        "Words and sound are paired by us, so how far they agree is what we made it; in the "
        "published catalogue it is not known. The published branch had 42,839 songs of 30 s and a "
        "network pretrained without labels; here are sung phrases, released recordings and "
        "rendered piano, and a small network from nothing.",
    ]


def _row_lines(results: Mapping[str, Any], figures: Mapping[str, str]) -> list[str]:
    return [
        f"| {name} | {' | '.join(summary_cell(row, figure) for figure in figures)} |"
        for name, row in results["rows"].items()
    ]


def _images(arms: Sequence[str]) -> list[str]:
    return [f"![{_TITLES[arm]}]({_PLOTS[arm]})" for arm in arms]


def _plot(out: Path, results: Mapping[str, Any], seeds: Sequence[Seed]) -> None:
    """Answers by emotion of each arm beside the labels, and what people's labels are told by."""
    learned = [name for name in results["rows"] if name.startswith(("words", "sound"))]
    labels = {
        "the words' labels": np.mean([seed.words_say for seed in seeds], axis=0).tolist(),
        "people's labels": np.mean([seed.people_say for seed in seeds], axis=0).tolist(),
    }
    for arm in ("words", "sound"):
        said = {
            name: np.mean([seed.said[name] for seed in seeds], axis=0).tolist()
            for name in learned
            if name.startswith(arm)
        }
        plot_bars(out / _PLOTS[arm], EMOTIONS, labels | said, _TITLES[arm], "share of recordings")
    shown = [CONSTANT_PEOPLE, *learned]
    figures = [name for name in HEARD if name in results["rows"][CONSTANT_PEOPLE]]
    rows = {name: [results["rows"][name][figure] for figure in figures] for name in shown}
    plot_bars(
        out / _PLOTS["labels"],
        [PEOPLE_FIGURES[figure] for figure in figures],
        {name: [row["mean"] for row in own] for name, own in rows.items()},
        _TITLES["labels"],
        "macro-F1, Pearson's r",
        {name: [row["interval"] for row in own] for name, own in rows.items()},
    )
