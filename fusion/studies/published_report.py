"""``maeum evaluate published``: the published figures to the digit, and what corrections change."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from data_prep.taxonomy import EMOTIONS, N_EMOTIONS
from fusion.calibration import calibrate
from fusion.evaluation.mood_texts import drawn, fitting_moods
from fusion.evaluation.paired_benchmark import held_out_lines
from fusion.evaluation.plots import plot_bars
from fusion.evaluation.result_files import table_head, write_results
from fusion.settings import FusionSettings
from fusion.studies.published_catalogue import (
    N_MOODS,
    N_NEAREST,
    OURS,
    PUBLISHED,
    SEEDS,
    asked,
    constant_and_model,
    systems,
)
from fusion.studies.published_figures import WORDS_FIGURES, PublishedVectors
from fusion.studies.published_words import SADNESS
from lyrics_model.predictor import LyricPredictor

NAME: Final = "published"
MOODS: Final = "everyday moods"

_DIRICHLET: Final = 0.5
_ORDERS: Final = tuple(WORDS_FIGURES)[:7]


def evaluate_published(
    out: Path,
    predictor: LyricPredictor,
    settings: FusionSettings,
    *,
    say: Callable[[str], None] = lambda text: None,
) -> dict[str, Any]:
    """Write ``published.json``, ``published.md`` and a plot.

    Parameters
    ----------
    out
        Folder; made if it is not there.
    predictor
        Reads the moods.
    settings
        Whose mood calibration is served.
    say
        Takes lines of progress.

    Raises
    ------
    MissingDataError
        If the published vectors or the test sentences are not there.
    """
    vectors = PublishedVectors.read()
    table = constant_and_model(vectors)
    say("reading the test sentences as moods")
    raw = held_out_lines(predictor).answers
    served = calibrate(raw, settings.mood)
    placed = systems(vectors, fitting_moods(predictor, settings))

    def dirichlet(seed: int) -> NDArray[Any]:
        random = np.random.default_rng(seed)
        return random.dirichlet(np.full(N_EMOTIONS, _DIRICHLET), N_MOODS)

    queries: dict[str, Callable[[int], NDArray[Any]]] = {
        MOODS: lambda seed: drawn(served, N_MOODS, seed=seed),
        "the same, uncalibrated": lambda seed: drawn(raw, N_MOODS, seed=seed),
        f"Dirichlet({_DIRICHLET:g})": dirichlet,
    }
    found = asked(placed, queries, say)
    content: dict[str, Any] = {
        "command": f"maeum evaluate published --out {out.as_posix()}",
        "published_table": table,
        "moods": N_MOODS,
        "nearest": N_NEAREST,
        "seeds": list(SEEDS),
        "sentences": len(raw),
        "systems": [
            {
                "name": system.name,
                "about": system.about,
                **system.figures(),
                "lists": found[system.name],
            }
            for system in placed
        ],
    }
    write_results(out, NAME, content, _markdown(content))
    plot_bars(
        out / f"{NAME}_strongest.png",
        EMOTIONS,
        {s["name"]: s["strongest"] for s in content["systems"] if s["name"] in (PUBLISHED, OURS)},
        "strongest emotion of the published catalogue",
        "share of the songs",
    )
    return content


def _markdown(content: Mapping[str, Any]) -> str:
    table, own = content["published_table"], {s["name"]: s for s in content["systems"]}
    before, after = own[PUBLISHED], own[OURS]
    reach = [each["lists"][MOODS]["reached"]["mean"] for each in (before, after)]
    low, high = table["top1_difference_interval"]
    lines = [
        "# The published catalogue",
        "",
        f"Command: `{content['command']}`. {table['songs']:,} songs; the published fused vectors "
        f"are half of words and half of sound to {table['difference_from_half_of_each']:.0e}.",
        "",
        "## Audio against words, as published",
        "",
        "The reference is what the words say. The constant is the mean of the words' vectors, the "
        "same for every song.",
        "",
        *table_head({name: WORDS_FIGURES[name] for name in _ORDERS}, "answer"),
        *(
            f"| {name} | {' | '.join(f'{table[key][figure]:.4f}' for figure in _ORDERS)} |"
            for name, key in (("published audio model", "model"), ("constant", "constant"))
        ),
        "",
        f"The audio model says sadness for {table['model']['says_sadness']:.2%} of the songs, the "
        f"words for {table['words_say'][SADNESS]:.1%}. Top-1 of the model is "
        f"{table['top1_difference']:+.4f} ({low:+.4f} to {high:+.4f}) away from the constant's.",
        "",
        "## After calibration, prior correction and spreading",
        "",
        f"**Sadness is the strongest emotion of {before['strongest'][SADNESS]:.1%} of the songs by "
        f"the published rule, and of {after['strongest'][SADNESS]:.1%} after correction. Of "
        f"{content['moods']:,} everyday moods, the published rule ever puts {reach[0]:,.0f} songs "
        f"among the {content['nearest']} nearest, the corrected catalogue {reach[1]:,.0f}: "
        f"{reach[1] / reach[0]:.1f} times as many.**",
        "",
        f"Moods are {content['moods']:,} of {content['sentences']:,} test sentences (KOTE, KPoEM, "
        "GoEmotions in two languages), read by the lyric model, calibrated as served moods are; "
        f"means over {len(content['seeds'])} draws, with the lowest and the highest. What the last "
        "row is relative to are validation sentences. Nobody labelled these songs: nothing here "
        "says which answer is right.",
        "",
        *_strongest(content["systems"]),
        "",
        *_lists(content["systems"]),
        "",
        "Gini and skewness are of how many lists each song is in (0 where all are in as many).",
        "",
        f"![strongest emotion]({NAME}_strongest.png)",
    ]
    return "\n".join(lines) + "\n"


def _strongest(systems_found: list[Mapping[str, Any]]) -> list[str]:
    lines = [
        f"| songs placed by | what is done | {' | '.join(EMOTIONS)} | entropy, bits | "
        "within cosine 0.9 of sadness | best cosine for tension |",
        "|---|---|" + "---:|" * (len(EMOTIONS) + 3),
    ]
    for each in systems_found:
        shares = " | ".join(f"{share:.1%}" for share in each["strongest"])
        lines.append(
            f"| {each['name']} | {each['about']} | {shares} | {each['entropy_bits']:.2f} | "
            f"{each['within_0.9_of_sadness']:.1%} | "
            f"{each['best_cosine'][EMOTIONS.index('tension')]:.2f} |"
        )
    return lines


def _lists(systems_found: list[Mapping[str, Any]]) -> list[str]:
    lines = [
        "| songs placed by | asked | songs ever in a list | times the published rule's | "
        "lists of the most recommended | Gini | skewness |",
        "|---|---|---:|---:|---:|---:|---:|",
    ]
    published = systems_found[0]["lists"]
    for each in systems_found:
        for kind, figures in each["lists"].items():
            reached, most = figures["reached"], figures["most"]
            times = reached["mean"] / published[kind]["reached"]["mean"]
            lines.append(
                f"| {each['name']} | {kind} | {reached['mean']:,.0f} "
                f"({reached['range'][0]:,} to {reached['range'][1]:,}) | {times:.1f} | "
                f"{most['mean']:,.0f} | {figures['gini']['mean']:.3f} | "
                f"{figures['skewness']['mean']:.1f} |"
            )
    return lines
