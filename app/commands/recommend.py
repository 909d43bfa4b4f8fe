"""``maeum recommend``: songs for a mood, for a recording, or like a song of the catalogue."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from app.commands.options import (
    AbsoluteOption,
    ArtistOption,
    AudioModelOption,
    CatalogueOption,
    DetailsOption,
    FusionOption,
    GenreOption,
    HasAudioOption,
    HasLyricsOption,
    JsonOption,
    LanguageOption,
    LyricsModelOption,
    SourceOption,
    YearFromOption,
    YearToOption,
    analyser_of,
)
from app.commands.output import print_json, print_lines
from data_prep.errors import InputError

if TYPE_CHECKING:
    from fusion.analysis import Analysis
    from fusion.mixed_search import Beside
    from fusion.reasons import Language
    from fusion.recommendation import Recommender

MEASURES = ("cosine", "weighted-cosine", "jensen-shannon", "hellinger")


def recommend(
    text: Annotated[
        str | None, typer.Argument(metavar="[TEXT]", help="A mood in everyday words.")
    ] = None,
    audio: Annotated[
        Path | None, typer.Option("--audio", metavar="FILE", help="A recording to find songs like.")
    ] = None,
    like: Annotated[
        list[str] | None,
        typer.Option(
            "--like",
            metavar="ID",
            help="A song of the catalogue to find songs like; may be given several times.",
        ),
    ] = None,
    collaborative: Annotated[
        Path | None,
        typer.Option(
            "--collaborative",
            metavar="FOLDER",
            help="With --like: also what playlists have beside these songs, a folder of "
            "`maeum train collaborative`.",
        ),
    ] = None,
    playlist_weight: Annotated[
        float | None,
        typer.Option(
            "--playlist-weight",
            min=0.0,
            max=1.0,
            help="How much playlists count beside emotion. Default: as it was best in training.",
        ),
    ] = None,
    k: Annotated[int, typer.Option("-k", min=1, max=1000, help="Number of songs.")] = 5,
    year_from: YearFromOption = None,
    year_to: YearToOption = None,
    genre: GenreOption = None,
    artist: ArtistOption = None,
    language: LanguageOption = None,
    source: SourceOption = None,
    has_lyrics: HasLyricsOption = None,
    has_audio: HasAudioOption = None,
    toward: Annotated[
        str | None,
        typer.Option(
            "--toward", metavar="EMOTION", help="Lead from the mood to this emotion, song by song."
        ),
    ] = None,
    similarity: Annotated[
        str,
        typer.Option(
            "--similarity", metavar="NAME", help=f"How near is measured: {', '.join(MEASURES)}."
        ),
    ] = "cosine",
    same_top_first: Annotated[
        bool,
        typer.Option(
            "--same-top-first", help="Songs with the mood's strongest emotion before all others."
        ),
    ] = False,
    diversity: Annotated[
        float,
        typer.Option(
            "--diversity", min=0.0, max=1.0, help="0 takes the nearest songs, 1 the most varied."
        ),
    ] = 0.0,
    per_artist: Annotated[
        int | None, typer.Option("--per-artist", min=1, help="Most songs of one artist.")
    ] = None,
    hygiene: Annotated[
        bool,
        typer.Option(
            "--hygiene",
            help="Leave out duplicates, various artists and novelty series, with a count.",
        ),
    ] = False,
    m3u: Annotated[
        Path | None, typer.Option("--m3u", metavar="FILE", help="Write the songs as a playlist.")
    ] = None,
    absolute: AbsoluteOption = False,
    as_json: JsonOption = False,
    details: DetailsOption = False,
    catalogue: CatalogueOption = None,
    fusion: FusionOption = None,
    model_lyrics: LyricsModelOption = None,
    model_audio: AudioModelOption = None,
) -> None:
    """Find songs for a mood, or songs like a recording, each with the reason."""
    if text is None and audio is None and not like:
        raise InputError(
            'nothing to go by: give a mood, as in `maeum recommend "TEXT"`, --audio or --like'
        )
    if like and (text is not None or audio is not None):
        raise InputError("--like goes without a mood and without --audio")
    if collaborative is not None and not like:
        raise InputError("--collaborative goes with --like: playlists say what goes with songs")
    if playlist_weight is not None and collaborative is None:
        raise InputError("--playlist-weight goes with --collaborative")
    if similarity not in MEASURES:
        raise InputError(f"--similarity {similarity!r}: expected one of {', '.join(MEASURES)}")
    analyser = analyser_of(model_lyrics, model_audio, fusion)
    if text is not None:
        analyser.warm_up()  # while the rest is imported

    from app.demo import catalogue_to_read
    from data_prep.catalogue import Catalogue, SongFilter
    from fusion.catalogue_shelf import CatalogueShelf
    from fusion.recommendation import Recommender, Wishes
    from fusion.rescoring import catalogue_settings

    where = SongFilter(
        year_from=year_from,
        year_to=year_to,
        genre=genre,
        artist=artist,
        language=language,
        source=source,
        has_lyrics=has_lyrics,
        has_audio=has_audio,
    )
    wishes = Wishes(
        k=k,
        where=where,
        toward=toward,
        similarity=similarity,  # type: ignore[arg-type]  # one of MEASURES
        same_top_first=same_top_first,
        hygiene=hygiene,
        diversity=diversity,
        per_artist=per_artist,
        beside=_beside(collaborative, like or [], playlist_weight),
    )
    if m3u is not None:
        from app.atomic_file import check_writable

        check_writable(m3u)
    with Catalogue.open(catalogue_to_read(catalogue), read_only=True) as songs:
        settings = analyser.settings if fusion is not None else catalogue_settings(songs)
        if model_lyrics is None and model_audio is None:
            analyser.settings = settings
        shelf = CatalogueShelf(songs, settings)
        if len(shelf) == 0:
            raise InputError(f"{songs.name} holds no songs: add some with `maeum index PATH`")
        recommender = Recommender(shelf)
        if not like:
            analysis = analyser.analyse(text, audio, as_mood=True)
            results = recommender.recommend(analysis, wishes)
        else:
            analysis = _of_songs(recommender, like)
            spoken: Language = "ko" if analysis.language == "ko" else "en"
            results = recommender.like(like, wishes, language=spoken)
        if hygiene:
            typer.echo(str(shelf.hygiene()), err=True)
    if m3u is not None and not results:
        typer.echo(f"no song was found: {m3u} is left as it was", err=True)
    elif m3u is not None:
        from app.library.playlist import write_playlist

        write_playlist([result.song for result in results], m3u, absolute=absolute)
    if as_json:
        found = [result.to_json(details=details) for result in results]
        print_json({"query": analysis.to_json(details=details), "results": found})
        return
    from app.commands.plain_text import analysis_lines, recommendation_lines

    print_lines([*analysis_lines(analysis), "", *recommendation_lines(results)])
    if not results:
        none = "no song passes these filters" if where.restricts else "no song can be found"
        typer.echo(none, err=True)


def _of_songs(recommender: Recommender, song_ids: list[str]) -> Analysis:
    """What is stored of some songs, as one analysis: means of what is known."""
    import numpy as np

    from fusion.analysis import Analysis
    from fusion.combination import Fused

    mean = recommender.vector_of_all(song_ids)  # refuses what is not there
    songs = []
    for song_id in song_ids:
        row = recommender.shelf.row_of(song_id)
        song = None if row is None else recommender.shelf.songs([row])[0]
        if song is None:
            raise InputError(f"the song {song_id!r} was taken out of the catalogue just now")
        songs.append(song)
    each = recommender.shelf.fused(songs)
    languages = {song.language for song in songs}
    language = languages.pop() if len(languages) == 1 else None
    if len(each) == 1:
        return Analysis(each[0], None, None, language, ())
    words = [one.lyrics for one in each if one.lyrics is not None]
    sound = [one.audio for one in each if one.audio is not None]
    fused = Fused(
        distribution=np.asarray(mean, np.float32),
        lyrics=np.stack(words).mean(axis=0) if words else None,
        audio=np.stack(sound).mean(axis=0) if sound else None,
        lyrics_share=float(np.mean([one.lyrics_share for one in each])),
        audio_share=float(np.mean([one.audio_share for one in each])),
        disagreement=None,
        confidence=float(mean.max()),
        abstain=False,
    )
    return Analysis(fused, None, None, language, ())


def _beside(folder: Path | None, songs: list[str], weight: float | None) -> Beside | None:
    if folder is None:
        return None
    from fusion.collaborative import CollaborativeModel
    from fusion.mixed_search import Beside, PlaylistSignal

    return Beside(PlaylistSignal(CollaborativeModel.load(folder)), tuple(songs), weight)
