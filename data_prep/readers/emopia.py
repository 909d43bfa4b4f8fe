"""EMOPIA: piano covers of pop songs as MIDI, one of four quadrants each, rendered to sound.

Files, below the data folder: ``audio/emopia/train_midi.zip`` and
``val_midi.zip``; a clip's name is ``Q<quadrant>_<song>_<number>.mid``. Q1 is
happy, Q2 tense or angry, Q3 sad, Q4 calm. The two archives are the published,
song-disjoint split; *val* is called validation.

MIDI is not sound: :func:`render` plays each clip with the ``fluidsynth`` program
and a General MIDI sound font (Debian: ``fluidsynth``, ``fluid-soundfont-gm``) into
``<cache>/<clip>.flac``, 16 kHz mono. From the command line::

    python -m data_prep.readers.emopia [CACHE]

Rendering goes on where it stopped, and a file is there whole or not at all.

MIDI can be played in more than one way: *renditions* (:func:`rendition`) are the
training clips transposed, a little faster or slower, and on other instruments,
as ``<cache>/<clip>~<number>.flac``. They are for training alone.
"""

from __future__ import annotations

import argparse
import io
import os
import shutil
import subprocess
import sys
import tempfile
import time
import zipfile
import zlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import numpy as np

from data_prep.data_folder import SOURCES, require
from data_prep.errors import InputError, MissingDataError, MissingExtraError
from data_prep.readers.row import ClipRow
from data_prep.splits import check_split, emopia_song
from data_prep.taxonomy import native_label_set

LABEL_SET: Final = "quadrants"
CITATION: Final = (
    "Hung et al. (2021): EMOPIA: A Multi-Modal Pop Piano Dataset For Emotion Recognition and "
    "Emotion-based Music Generation, ISMIR, arXiv 2108.01374"
)
LICENCE: Final = "CC BY-NC-SA 4.0"
SOURCE_URL: Final = SOURCES["audio/emopia"]

DEFAULT_CACHE: Final = Path(".work/emopia")
SAMPLE_RATE: Final = 16_000
GAIN: Final = 2.0
"""Ten times FluidSynth's default: the median clip is then at -25 dB (RMS), 10 dB below released
recordings, and hardly any reaches full scale. One gain for all, so that soft stays soft."""
RENDER_TIMEOUT_S: Final = 300
SOUND_FONTS: Final = (
    Path("/usr/share/sounds/sf2/FluidR3_GM.sf2"),
    Path("/usr/share/sounds/sf2/default-GM.sf2"),
    Path("/usr/share/soundfonts/FluidR3_GM.sf2"),
)

N_RENDITIONS: Final = 4
"""Renditions of every training clip beside the plain one."""

_PROGRAMS: Final[tuple[int, ...]] = (1, 2, 3, 4, 5, 6, 11, 12, 24, 25, 26, 27, 46, 48, 49, 89)
"""General MIDI programs that carry melody and harmony alike: pianos, harpsichord,
mallets, guitars, harp, strings, pad."""
_UNFINISHED: Final = ".render-"
_ARCHIVES: Final = {"train": "train_midi.zip", "validation": "val_midi.zip"}


@dataclass(frozen=True)
class Rendition:
    """How a clip is played.

    Attributes
    ----------
    semitones
        Transposition.
    tempo
        Factor: 1.1 is a tenth faster.
    program
        General MIDI program, 0 the grand piano.
    """

    semitones: int = 0
    tempo: float = 1.0
    program: int = 0

    def play(self, midi: bytes) -> bytes:
        """A MIDI file as this rendition plays it.

        Raises
        ------
        MissingExtraError
            If mido is not installed.
        """
        if self == Rendition():
            return midi
        try:
            import mido
        except ImportError as error:
            raise MissingExtraError("rendering EMOPIA in other ways") from error

        file = mido.MidiFile(file=io.BytesIO(midi))
        channels = set()
        for track in file.tracks:
            for event in track:
                if event.type == "set_tempo":
                    event.tempo = round(event.tempo / self.tempo)
                elif event.type == "program_change":
                    event.program = self.program
                elif event.type in ("note_on", "note_off"):
                    channels.add(event.channel)
                    event.note = min(127, max(0, event.note + self.semitones))
        first = [
            mido.Message("program_change", channel=channel, program=self.program)
            for channel in sorted(channels)
        ]
        if not any(event.type == "set_tempo" for track in file.tracks for event in track):
            first.append(mido.MetaMessage("set_tempo", tempo=round(500_000 / self.tempo)))
        file.tracks[0][:0] = first
        played = io.BytesIO()
        file.save(file=played)
        return played.getvalue()


def rendition(clip: str, number: int) -> Rendition:
    """Rendition of a clip: 0 plain, then seeded by its name.

    Transposed by up to six semitones, up to 12% faster or slower; odd ones on the
    piano, even ones on another instrument.
    """
    if number == 0:
        return Rendition()
    random = np.random.default_rng([zlib.crc32(clip.encode()), number])
    semitones = int(random.choice([*range(-6, 0), *range(1, 7)]))
    tempo = round(float(np.exp(random.uniform(-0.12, 0.12))), 3)
    program = 0 if number % 2 else int(random.choice(_PROGRAMS))
    return Rendition(semitones, tempo, program)


def _name(clip: str, number: int) -> str:
    return f"{clip}~{number}" if number else clip


def clip_ids(split: str) -> list[str]:
    """Names of the clips of one split (train, validation), sorted."""
    path = require(f"audio/emopia/{_ARCHIVES[split]}")
    with _archive(path) as archive:
        return sorted(Path(name).stem for name in archive.namelist() if name.endswith(".mid"))


def read(
    split: str | None = None, *, cache: Path = DEFAULT_CACHE, renditions: Sequence[int] = (0,)
) -> list[ClipRow]:
    """Rendered clips of one split (train, validation), or all; ``group`` is the song.

    Parameters
    ----------
    split
        ``None`` for both.
    cache
        Folder that :func:`render` filled.
    renditions
        Which renditions of each clip; the plain one if not given.

    Raises
    ------
    MissingDataError
        If the archives are not in the data folder, or clips are not rendered yet.
    """
    check_split("emopia", split)
    label_set = native_label_set(LABEL_SET)
    rows: list[ClipRow] = []
    for name in _ARCHIVES if split is None else (split,):
        for clip in clip_ids(name):
            shares = np.zeros(len(label_set.labels), dtype=np.float32)
            shares[label_set.index(clip[:2])] = 1.0
            for number in renditions:
                path = cache / f"{_name(clip, number)}.flac"
                rows.append(ClipRow(path.stem, path, shares, group=emopia_song(clip)))
    missing = sum(not row.path.is_file() for row in rows)
    if missing:
        raise MissingDataError(
            f"{missing} of {len(rows)} EMOPIA clips are not rendered in {cache}: "
            f"run `python -m data_prep.readers.emopia {cache}`"
        )
    return rows


def render(
    cache: Path = DEFAULT_CACHE,
    *,
    n_renditions: int = 0,
    sound_font: Path | None = None,
    report: Callable[[str], None] = print,
) -> list[str]:
    """Render every clip that is not in the cache yet.

    Parameters
    ----------
    cache
        Folder for ``<clip>.flac``; made if it is not there.
    n_renditions
        Renditions of every training clip beside the plain one.
    sound_font
        A General MIDI sound font; ``None`` looks where Debian and Fedora put
        FluidR3.
    report
        Takes a line of progress every few seconds.

    Returns
    -------
    Clips that failed, with the reason; empty if all went well.

    Raises
    ------
    MissingDataError
        If the archives, ``fluidsynth`` or a sound font are not there.
    """
    font = _sound_font(sound_font)
    if shutil.which("fluidsynth") is None:
        raise MissingDataError(
            "the program fluidsynth is missing: install it (Debian: apt-get install fluidsynth)"
        )
    cache.mkdir(parents=True, exist_ok=True)
    for left in cache.glob(f"{_UNFINISHED}*"):  # of a run that was killed
        if time.time() - left.stat().st_mtime > RENDER_TIMEOUT_S:
            shutil.rmtree(left, ignore_errors=True)
    jobs = [
        (split, clip, number)
        for split in _ARCHIVES
        for clip in clip_ids(split)
        for number in range(1 + (n_renditions if split == "train" else 0))
        if not (cache / f"{_name(clip, number)}.flac").is_file()
    ]
    failed: list[str] = []
    start = last = time.monotonic()
    for done, (split, clip, number) in enumerate(jobs):
        now = time.monotonic()
        if done and now - last > 5:
            left_s = (now - start) / done * (len(jobs) - done)
            report(f"EMOPIA: {done} of {len(jobs)} clips rendered, {left_s / 60:.1f} min left")
            last = now
        try:
            _render_clip(split, clip, number, cache, font)
        except (InputError, subprocess.SubprocessError, OSError) as error:
            failed.append(f"{_name(clip, number)}: {error}")
    report(f"EMOPIA: {len(jobs) - len(failed)} clips rendered, {len(failed)} failed, in {cache}")
    return failed


def _render_clip(split: str, clip: str, number: int, cache: Path, font: Path) -> None:
    import soundfile

    with tempfile.TemporaryDirectory(dir=cache, prefix=_UNFINISHED) as folder:
        midi, wav, flac = (Path(folder) / name for name in ("clip.mid", "clip.wav", "clip.flac"))
        with _archive(require(f"audio/emopia/{_ARCHIVES[split]}")) as archive:
            midi.write_bytes(rendition(clip, number).play(archive.read(f"{clip}.mid")))
        subprocess.run(
            [
                *("fluidsynth", "-n", "-i", "-q", "-r", str(SAMPLE_RATE), "-g", str(GAIN)),
                *("-o", "synth.dynamic-sample-loading=1"),  # same sound, half the time
                *("-T", "wav", "-O", "float", "-F", str(wav), str(font), str(midi)),
            ],
            check=True,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            timeout=RENDER_TIMEOUT_S,
        )
        stereo, sample_rate = soundfile.read(wav, dtype="float32", always_2d=True)
        mono = stereo @ np.full(stereo.shape[1], 1.0 / stereo.shape[1], dtype=np.float32)
        peak = float(np.abs(mono).max(initial=0.0))
        if sample_rate != SAMPLE_RATE or peak == 0.0:
            raise InputError(
                f"fluidsynth gave {len(mono)} samples at {sample_rate} Hz, peak {peak}"
            )
        if peak > 0.99:  # keep a loud clip from being cut off
            mono *= 0.99 / peak
        soundfile.write(flac, mono, SAMPLE_RATE, format="FLAC", subtype="PCM_16")
        os.replace(flac, cache / f"{_name(clip, number)}.flac")


def _archive(path: Path) -> zipfile.ZipFile:
    try:
        return zipfile.ZipFile(path)
    except zipfile.BadZipFile as error:
        raise InputError(f"{path} is not a zip archive: {error}; download it again") from error


def _sound_font(given: Path | None) -> Path:
    candidates = SOUND_FONTS if given is None else (given,)
    for path in candidates:
        if path.is_file():
            return path
    raise MissingDataError(
        f"no sound font at {' or '.join(map(str, candidates))}: install one "
        "(Debian: apt-get install fluid-soundfont-gm)"
    )


def main(arguments: Sequence[str] | None = None) -> int:
    """Render every clip that is not in the cache yet."""
    parser = argparse.ArgumentParser(
        prog="python -m data_prep.readers.emopia", description=main.__doc__
    )
    parser.add_argument(
        "cache", nargs="?", type=Path, default=DEFAULT_CACHE, help="default: %(default)s"
    )
    parser.add_argument("--sound-font", type=Path, help="a General MIDI sound font (.sf2)")
    parser.add_argument(
        "--renditions",
        type=int,
        default=0,
        help="renditions of each training clip beside the plain one (default: %(default)s)",
    )
    options = parser.parse_args(arguments)

    def report(line: str) -> None:
        print(line, flush=True)

    failed = render(
        options.cache,
        n_renditions=options.renditions,
        sound_font=options.sound_font,
        report=report,
    )
    for line in failed:
        print(line, file=sys.stderr)
    return 1 if failed else 0


if __name__ == "__main__":
    raise SystemExit(main())
