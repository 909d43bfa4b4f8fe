"""``maeum train|evaluate|study collaborative``: what other listeners' playlists add."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Final

import typer

from app.commands.options import JsonOption, OutFolderOption
from app.commands.output import print_json, print_lines
from app.commands.training_options import made, say
from data_prep.errors import InputError

if TYPE_CHECKING:
    from data_prep.readers.arena_playlists import Playlists
    from fusion.evaluation.playlist_continuation import EmotionSpace

QUERIES: Final = 1_000

PlaylistsOption = Annotated[
    Path,
    typer.Option(
        "--playlists", metavar="FILE", help="Playlists in the form of Kakao Arena's train.json."
    ),
]
SongsOption = Annotated[
    str,
    typer.Option(
        "--catalogue", metavar="URL", help="Songs, under the numbers that the playlists have."
    ),
]
MethodOption = Annotated[str, typer.Option("--method", help="als or bpr.")]
FactorsOption = Annotated[int, typer.Option("--factors", help="Numbers of a song's vector.")]
IterationsOption = Annotated[int, typer.Option("--iterations", help="Passes over all playlists.")]
QueriesOption = Annotated[
    int, typer.Option("--queries", min=1, help="Most held-out playlists that are continued.")
]


def train_collaborative(
    playlists: PlaylistsOption,
    catalogue: SongsOption,
    out: Annotated[Path, typer.Option("--out", metavar="FOLDER", help="Model folder to write.")],
    method: MethodOption = "als",
    factors: FactorsOption = 64,
    iterations: IterationsOption = 20,
    regularization: Annotated[
        float, typer.Option("--regularization", help="Keeps vectors small.")
    ] = 0.05,
    alpha: Annotated[
        float, typer.Option("--alpha", help="ALS: confidence of a song that a playlist has.")
    ] = 10.0,
    seed: Annotated[int, typer.Option("--seed", help="Of the first vectors.")] = 1,
    queries: QueriesOption = QUERIES,
) -> None:
    """Learn from playlists which songs go together, and how much that counts beside emotion."""
    from fusion.index_folder import check_index_folder
    from fusion.studies.collaborative_training import CollaborativeSettings, check_extra, train

    settings = CollaborativeSettings(
        method,  # type: ignore[arg-type]  # checked there
        factors,
        iterations,
        regularization,
        alpha,
        seed=seed,
    )
    check_extra()
    check_index_folder(out)
    parts, space = _read(playlists, catalogue)
    model, curve = train(parts, space, settings, most=queries, say=say)
    model.save(out)
    typer.echo(
        f"weight of playlists {model.weight:g}: nDCG@100 {curve[f'{model.weight:g}']:.3f} on "
        f"validation playlists, emotion alone {curve['0']:.3f}, playlists alone {curve['1']:.3f}"
    )
    made(out)


def evaluate_collaborative(
    playlists: PlaylistsOption,
    catalogue: SongsOption,
    model: Annotated[
        Path,
        typer.Option("--model", metavar="FOLDER", help="Of `maeum train collaborative`."),
    ],
    out: OutFolderOption,
    queries: QueriesOption = QUERIES,
    as_json: JsonOption = False,
) -> None:
    """Continue playlists that a model has not seen, beside popularity and emotion alone."""
    from fusion.collaborative import CollaborativeModel
    from fusion.evaluation.continuation_report import write_continuation
    from fusion.evaluation.playlist_continuation import evaluate_continuation
    from fusion.studies.collaborative_training import digest_of

    found = CollaborativeModel.load(model)
    parts, space = _read(playlists, catalogue)
    if found.facts.get("learned_from") != digest_of(parts["train"]):
        raise InputError(
            f"{model} was not learned from these playlists: give those of its training, or what "
            "is held out may be what it learned from"
        )
    content = {
        "playlists_file": playlists.name,
        **found.facts,
        "method": found.method,
        **evaluate_continuation(found, parts["test"], space, most=queries),
    }
    _show(write_continuation(out, "collaborative", content), content, as_json)


def study_collaborative(
    playlists: PlaylistsOption,
    catalogue: SongsOption,
    out: OutFolderOption,
    factors: FactorsOption = 64,
    iterations: IterationsOption = 20,
    queries: QueriesOption = QUERIES,
    as_json: JsonOption = False,
) -> None:
    """ALS beside BPR, and every weight of playlists beside emotion, on validation playlists."""
    from fusion.evaluation.continuation_report import write_study
    from fusion.studies.collaborative_training import check_extra, compare

    check_extra()
    parts, space = _read(playlists, catalogue)
    content = compare(parts, space, factors, iterations, most=queries, say=say)
    content = {"playlists_file": playlists.name, **content}
    _show(write_study(out, "collaborative_study", content), content, as_json)


def _show(lines: list[str], content: dict[str, Any], as_json: bool) -> None:
    if as_json:
        print_json(content)
    else:
        print_lines(lines)


def _read(playlists: Path, catalogue: str) -> tuple[dict[str, Playlists], EmotionSpace]:
    """Playlists to train, validate and test with, and the songs of the catalogue."""
    from data_prep.catalogue import Catalogue
    from data_prep.readers.arena_playlists import read_playlists
    from fusion.catalogue_shelf import CatalogueShelf
    from fusion.rescoring import catalogue_settings
    from fusion.studies.collaborative_training import parts_of, space_of

    parts = parts_of(read_playlists(playlists))
    with Catalogue.open(catalogue, read_only=True) as opened:
        shelf = CatalogueShelf(opened, catalogue_settings(opened))
        labels = opened.labels(shelf.numbers)
        ids = [None if label is None else label[0] for label in labels]
        space = space_of(ids, shelf.index().vectors, parts["train"])
    return parts, space
