"""``maeum evaluate recommend``: tables, plots, and sentences made of numbers."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, Final

import numpy as np

from data_prep.catalogue import Catalogue
from data_prep.errors import InputError
from fusion.evaluation.mood_texts import drawn, fitting_moods
from fusion.evaluation.paired_benchmark import Answered
from fusion.evaluation.plots import plot_counts, plot_songs
from fusion.evaluation.recommend_evaluation import (
    FIGURES,
    FIRST,
    FUSED,
    PER_EMOTION,
    QUERIES_PER_EMOTION,
    RANDOM,
    SOUND,
    WORDS,
    catalogue_figures,
    evaluate,
)
from fusion.evaluation.result_files import summary_cell, write_results
from fusion.rescoring import song_vectors
from fusion.settings import FusionSettings
from lyrics_model.predictor import LyricPredictor

NAME: Final = "recommend"

_MOODS: Final = 2_000
_MOST_SHOWN: Final = 400  # songs of the heat map
_MORE: Final = {
    "coverage": "coverage",
    "gini": "Gini",
    "skewness": "skewness",
    "intra_list_diversity": "intra-list diversity",
}


def evaluate_recommendation(
    out: Path,
    lines: Answered,
    clips: Answered,
    predictor: LyricPredictor,
    settings: FusionSettings,
    catalogue: Catalogue,
    *,
    per_emotion: int = PER_EMOTION,
    queries_per_emotion: int = QUERIES_PER_EMOTION,
    say: Callable[[str], None] = lambda text: None,
) -> dict[str, Any]:
    """Write ``recommend.json``, ``recommend.md`` and plots.

    Parameters
    ----------
    out
        Folder; made if it is not there.
    lines, clips
        Test lines and test clips, answered (:func:`fusion.evaluation.paired_benchmark.answered`).
    predictor
        Reads everyday moods.
    settings
        What is measured.
    catalogue
        Whose lists are counted; its songs need no labels.
    per_emotion, queries_per_emotion
        Sizes of the labelled part.

    Raises
    ------
    InputError
        If the catalogue holds no song whose emotion is known.
    """
    songs = [s for s in catalogue.songs() if s.lyrics is not None or s.audio is not None]
    if not songs:
        raise InputError(f"{catalogue.name} holds no analysed song: index some first")
    moods = fitting_moods(predictor, settings)
    moods = drawn(moods, min(_MOODS, len(moods)), seed=1)
    found = evaluate(
        lines,
        clips,
        moods,
        settings,
        per_emotion=per_emotion,
        queries_per_emotion=queries_per_emotion,
        say=say,
    )
    vectors = song_vectors(songs, settings)
    years = np.array([np.nan if s.year is None else float(s.year) for s in songs])
    of_catalogue = catalogue_figures(vectors, years, moods)
    content: dict[str, Any] = {
        "command": f"maeum evaluate recommend --out {out.as_posix()}",
        "fusion": settings.to_dict()["rule"],
        **found,
        "catalogue": {"name": Path(catalogue.name).name, **of_catalogue},
    }
    write_results(out, NAME, content, _markdown(content))
    plot_counts(
        out / f"{NAME}_counts.png",
        {"recommended": of_catalogue["occurrences"]},
        f"{len(moods):,} everyday moods, lists of {FIRST}",
    )
    shown = vectors[:: max(1, -(-len(vectors) // _MOST_SHOWN))].astype(np.float64)
    shown = shown[np.argsort(shown.argmax(axis=1), kind="stable")]
    units = shown / np.linalg.norm(shown, axis=1, keepdims=True)
    plot_songs(out / f"{NAME}_songs.png", units @ units.T, shown.argmax(axis=1), "cosine of songs")
    return content


def _markdown(content: Mapping[str, Any]) -> str:
    lists = content["catalogue"]["lists"]
    lines = [
        "# Recommendation",
        "",
        f"Command: `{content['command']}`. Fusion: {content['fusion']['method']}.",
        "",
        f"Five catalogues of {content['songs']:,} label-paired songs ({content['per_emotion']} of "
        "each emotion; a test line and a test clip that people gave the same emotion) from four "
        "folds, each asked what is in the fifth: test sentences read as moods, and test clips "
        "heard. A song is relevant when its emotion is the query's. In brackets 95% of "
        "resamplings of queries (by actor and song, where they are clips). Random and most "
        "popular answer without looking at the query: they are the constant baselines.",
        "",
        "## What the numbers say",
        "",
        *(f"- {sentence}" for sentence in _sentences(content)),
        "",
        *(line for kind in content["kinds"] for line in _table(kind, content["kinds"][kind])),
        "Coverage is the share of a catalogue's songs that are in some list, Gini and skewness "
        "are of how many lists a song is in (0 where all are in as many), diversity is the mean "
        "cosine distance within a list.",
        "",
        f"## Lists of {content['catalogue']['name']}",
        "",
        f"{lists['songs']:,} songs, asked {lists['queries']:,} everyday moods (validation "
        f"sentences, every emotion leading alike), lists of {FIRST}: "
        f"{lists['reached']:,} songs are in some list ({lists['reached'] / lists['songs']:.1%}), "
        f"the most recommended in {lists['most']:,}; Gini {lists['gini']:.3f}, skewness "
        f"{lists['skewness']:.1f}, diversity within a list "
        f"{content['catalogue']['intra_list_diversity']:.4f}.",
        "",
        *_years(content["catalogue"]),
        f"![how often songs are recommended]({NAME}_counts.png)",
        "",
        f"![songs against songs]({NAME}_songs.png)",
    ]
    return "\n".join(lines) + "\n"


def _sentences(content: Mapping[str, Any]) -> list[str]:
    said = []
    for kind, own in content["kinds"].items():
        rows, differences = own["rows"], own["ndcg_differences"]
        parts = []
        for base in (WORDS, SOUND):
            low, high = differences[base]["interval"]
            parts.append(f"{base} {differences[base]['mean']:+.3f} ({low:+.3f} to {high:+.3f})")
        times = rows[FUSED]["ndcg"]["mean"] / rows[RANDOM]["ndcg"]["mean"]
        said.append(
            f"**{kind.capitalize()} as queries.** nDCG@10 of fused songs is "
            f"{summary_cell(rows[FUSED], 'ndcg')}; against {' and '.join(parts)}; "
            f"{times:.1f} times that of random order."
        )
    return said


def _table(kind: str, own: Mapping[str, Any]) -> list[str]:
    heads = [*FIGURES.values(), *_MORE.values()]
    return [
        f"## {kind.capitalize()} as queries ({own['queries']:,})",
        "",
        f"| songs placed by | {' | '.join(heads)} |",
        "|---|" + "---:|" * len(heads),
        *(
            f"| {name} | "
            + " | ".join(
                [
                    *(summary_cell(row, figure) for figure in FIGURES),
                    *(f"{row[figure]:.3f}" for figure in _MORE),
                ]
            )
            + " |"
            for name, row in own["rows"].items()
        ),
        "",
    ]


def _years(catalogue: Mapping[str, Any]) -> list[str]:
    found = catalogue["distance_in_years"]
    if found is None:
        return []
    return [
        f"Distance in time (as published): a song and the {FIRST} most like it are "
        f"{found['mean']:.1f} years apart on average, any two songs {found['at_random']:.1f} "
        f"({found['songs']:,} songs whose year is known).",
        "",
    ]
