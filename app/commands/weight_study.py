"""``maeum study fusion-weights``: songs are asked, rules compared, the report written."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from app.commands.training_options import say
from app.progress import counting
from app.tables.evaluation import tell_left_out
from data_prep.errors import InputError
from data_prep.readers.labelled_table import DEFAULT_LABEL_COLUMN, label_set_of, open_song_table
from data_prep.taxonomy import EMOTIONS
from fusion.analysis import SongAnalyser, load_lyric_predictor
from fusion.evaluation.labelled_songs import AskedSongs, LabelledSongs, songs_of_table
from fusion.evaluation.listening import Listener
from fusion.evaluation.paired_benchmark import (
    DRAWS,
    PER_EMOTION,
    answered,
    check_per_emotion,
    paired,
)
from fusion.evaluation.tables import write_problems
from fusion.rules import METHODS, Method
from fusion.studies.weight_report import write_report
from fusion.studies.weight_rows import check_size
from fusion.studies.weight_study import study

COMMAND = "maeum study fusion-weights"


@dataclass(frozen=True)
class SongTableOptions:
    """What the command line says of a table of labelled songs; see its help."""

    table: Path
    text_column: str = "text"
    audio_column: str = "audio_path"
    label_column: str = DEFAULT_LABEL_COLUMN
    label_set: str = "six"
    group_column: str | None = None


def study_benchmark(
    out: Path,
    work: Path,
    model_lyrics: Path | None,
    model_audio: Path | None,
    *,
    draws: int = DRAWS,
    per_emotion: int = PER_EMOTION,
) -> None:
    """Study the weights on the label-paired benchmark.

    Parameters
    ----------
    out
        Folder for the report.
    work
        Work folder with the rendered EMOPIA clips; answers are kept there.
    model_lyrics, model_audio
        Model folders; the embedded ones if ``None``.
    draws, per_emotion
        Draws of the benchmark, and songs of each emotion in one.

    Raises
    ------
    MissingDataError, InputError
        If a data set is not there, or a model or option does not fit.
    """
    check_per_emotion(per_emotion)  # before any model is asked
    predictor, listener = load_lyric_predictor(model_lyrics), Listener.load(model_audio)
    lines, clips = answered(predictor, listener, work, progress=counting, say=say)
    drawn = [
        paired(lines, clips, seed=seed, per_emotion=per_emotion) for seed in range(1, draws + 1)
    ]
    served = SongAnalyser(lyrics_folder=model_lyrics, audio_folder=model_audio).settings
    found = study(drawn, served=served, say=say)
    about = [
        f"**Label-paired benchmark**: {draws} draws (seeds 1 to {draws}) of {len(drawn[0]):,} "
        f"songs, {per_emotion} of each emotion. A song is a test line that people gave an emotion "
        "and a recording that people gave the same, put together at random: the branches' errors "
        "are real, and independent given the emotion, as those of real songs are not. Lines are "
        "the test rows of KOTE, KPoEM (한용운) and GoEmotions in both languages; clips are RAVDESS "
        "song and EMOPIA, each answered by what never heard its actor or song. A quadrant that "
        "does not decide between tension and anger is paired with either.",
        f"In the first draw {_sources(found.content['sources'])}.",
    ]
    command = f"{COMMAND} --draws {draws} --songs {per_emotion}"
    write_report(out, found, command=command, about=about)


def songs_to_learn_from(options: SongTableOptions, method: str) -> tuple[Method, LabelledSongs]:
    """The method by its name, and the labelled songs of a table with what the models say.

    Raises
    ------
    InputError
        If the table or the method cannot be used, or too few songs are left.
    """
    if method not in METHODS:
        raise InputError(f"--method {method!r}: expected one of {', '.join(METHODS)}")
    return method, _asked(options, SongAnalyser()).songs


def study_table(
    out: Path, options: SongTableOptions, model_lyrics: Path | None, model_audio: Path | None
) -> bool:
    """Study the weights on a table of labelled songs; whether rows were left out.

    Raises
    ------
    InputError
        If the table or an option cannot be used, or too few songs are left.
    """
    analyser = SongAnalyser(lyrics_folder=model_lyrics, audio_folder=model_audio)
    asked = _asked(options, analyser)
    problems, reasons = asked.left_out.in_order(), asked.left_out.reasons
    found = study([asked.songs], served=analyser.settings, across=False, say=say)
    counts = ", ".join(
        f"{count} {name}"
        for name, count in zip(EMOTIONS, found.content["per_emotion"], strict=True)
    )
    about = [
        f"**{asked.songs.name}**: {len(asked.songs):,} of {asked.rows:,} rows ({counts}), of which "
        f"{found.content['with_both']:,} have both words and sound that can be read. "
        + (
            f"Songs of the same {options.group_column} are in one fold."
            if options.group_column
            else "Every row is a group of its own: with songs of the same artists, give "
            "--group-column, or the figures are too good."
        )
    ]
    more = {
        "rows_of_table": asked.rows,
        "rows_left_out": dict(reasons),
        "mended_labels": [
            {"from": old, "to": new, "rows": count}
            for (old, new), count in asked.mended.most_common()
        ],
    }
    write_report(
        out, found, command=f"{COMMAND} --table {asked.songs.name}", about=about, more=more
    )
    if problems:
        write_problems(out / "left_out.jsonl", problems)
    tell_left_out(asked.rows, reasons, problems, out / "left_out.jsonl")
    return bool(problems)


def _asked(options: SongTableOptions, analyser: SongAnalyser) -> AskedSongs:
    """The songs of a table, enough of them to learn from."""
    table = open_song_table(
        options.table,
        label_set_of(options.label_set),
        text_column=options.text_column,
        audio_column=options.audio_column,
        label_column=options.label_column,
        group_column=options.group_column,
    )
    with counting(table.length, "songs") as advance:
        asked = songs_of_table(table, analyser, advance=advance)
    try:
        check_size(asked.songs)
    except InputError as error:
        reasons = asked.left_out.reasons
        if not reasons:
            raise
        counted = ", ".join(f"{count:,} {reason}" for reason, count in reasons.most_common())
        raise InputError(f"{error}; rows left out: {counted}") from error
    return asked


def _sources(counts: dict[str, dict[str, int]]) -> str:
    return " and ".join(
        f"{branch} are from " + ", ".join(f"{name} ({n:,})" for name, n in own.items())
        for branch, own in counts.items()
    )
