"""``maeum prepare mels``: a store of mels from Kakao Arena's files, or from sound files.

Needs the extra ``train``; nothing of it is imported before the command runs.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from app.commands.options import AddressOption, Engine, EngineOption, reading_pool
from app.commands.training_options import made, needs_extra, refuse_options, say
from data_prep.errors import InputError

if TYPE_CHECKING:
    from app.library.readers import SongPool
    from audio_model.mel_preparation import Listeners, Prepared


class Values(StrEnum):
    """What the numbers of stored mels may mean."""

    auto = "auto"
    db = "db"
    shifted = "shifted"
    scaled = "scaled"


def prepare_mels(
    sources: Annotated[
        list[Path],
        typer.Argument(
            metavar="SOURCE…",
            help="Kakao Arena's arena_mel tars, folders of them, folders unpacked from them, or "
            "folders of sound files.",
        ),
    ],
    out: Annotated[
        Path, typer.Option("--out", metavar="FILE", help="Store (HDF5) to make or to add to.")
    ],
    features: Annotated[
        str,
        typer.Option("--features", metavar="NAME", help="Log-mel settings for sound: kakao, full."),
    ] = "kakao",
    from_s: Annotated[
        float | None, typer.Option("--from-s", help="Where the part of a recording begins (20).")
    ] = None,
    length_s: Annotated[
        float | None,
        typer.Option("--length-s", help="How long it is, in seconds (30; 3600 at most)."),
    ] = None,
    values: Annotated[
        Values,
        typer.Option(
            "--values",
            help="What the numbers of Kakao Arena's mels are: dB, dB + 100 (shifted) or "
            "(dB + 127) / 100 (scaled); auto finds out.",
        ),
    ] = Values.auto,
    workers: Annotated[
        int | None,
        typer.Option("--workers", min=0, help="Processes that read sound files; none by default."),
    ] = None,
    engine: EngineOption = Engine.local,
    address: AddressOption = None,
    errors: Annotated[
        Path | None,
        typer.Option("--errors", metavar="FILE", help="Write every failure here, as JSON lines."),
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
) -> None:
    """Mels of many songs in one file that training reads at random.

    Goes on where it was interrupted.
    """
    from app.atomic_file import check_writable

    for path in (out, errors):
        if path is not None:
            check_writable(path)
    with needs_extra("prepare mels"):
        import h5py  # noqa: F401 (said before anything is read)
        import torch  # noqa: F401

        from app.failure_log import FailureLog
        from app.failures import Failure, show_failures, write_failures
        from app.progress import counting
        from audio_model.mel_preparation import Listeners

        failures = FailureLog()
        listeners = Listeners(
            say,
            lambda song: failures.add(Failure(song.where, song.id, song.error)),
            counting,
        )
        own = workers if workers is not None or engine is Engine.ray else 0
        with reading_pool(engine, address, own, None, None, say=say) as pool:
            prepared = _prepare(sources, out, features, from_s, length_s, values, listeners, pool)
    if errors is not None:
        write_failures(errors, failures)
    _tell(prepared)
    show_failures(failures, errors)
    if as_json:
        typer.echo(json.dumps(prepared.to_json(), ensure_ascii=False, indent=1))
    elif prepared.songs:
        made(out)
    if failures:
        raise typer.Exit(1)


def _prepare(
    paths: Sequence[Path],
    out: Path,
    features: str,
    from_s: float | None,
    length_s: float | None,
    values: Values,
    listeners: Listeners,
    pool: SongPool | None,
) -> Prepared:
    from app.pooled_mels import PooledMels
    from audio_model.log_mel import PRESETS
    from audio_model.mel_preparation import FROM_S, LENGTH_S, prepare_kakao, prepare_sound
    from audio_model.mel_sources import KakaoSources, recognise
    from data_prep.mel_values import RANGES

    if features not in PRESETS:
        raise InputError(f"--features {features}: expected one of {', '.join(PRESETS)}")
    sources = recognise(paths)
    if isinstance(sources, KakaoSources):
        refuse_options(
            {"from-s": from_s, "length-s": length_s, "features": _other(features)},
            "is for sound files: Kakao Arena's mels were made before",
        )
        if pool is not None:
            raise InputError(
                "--workers and --engine are for sound files: Kakao Arena's mels are only copied"
            )
        given = next((name for name in RANGES if name == values), None)
        return prepare_kakao(sources, out, values=given, listeners=listeners)
    if values is not Values.auto:
        raise InputError("--values is for Kakao Arena's mels: those of sound files are in dB")
    return prepare_sound(
        sources,
        out,
        configuration=PRESETS[features],
        from_s=FROM_S if from_s is None else from_s,
        length_s=LENGTH_S if length_s is None else length_s,
        listeners=listeners,
        mels=None if pool is None else PooledMels(pool),
    )


def _other(features: str) -> str | None:
    return None if features == "kakao" else features


def _tell(prepared: Prepared) -> None:
    say(f"{prepared.songs:,} songs in the store, {prepared.added:,} of them new")
    if prepared.cut:
        say(f"{prepared.cut:,} songs were longer than the store takes, and were cut at their end")
    if prepared.left_out:
        counts = ", ".join(f"{n:,} {reason}" for reason, n in prepared.left_out.most_common())
        say(f"{prepared.left_out.total():,} left out: {counts}")
