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
"""

from __future__ import annotations

import argparse
import os
import shutil
import subprocess
import sys
import tempfile
import time
import zipfile
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Final

import numpy as np

from data_prep.data_folder import SOURCES, require
from data_prep.errors import InputError, MissingDataError
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

_UNFINISHED: Final = ".render-"
_ARCHIVES: Final = {"train": "train_midi.zip", "validation": "val_midi.zip"}


def clip_ids(split: str) -> list[str]:
    """Names of the clips of one split (train, validation), sorted."""
    path = require(f"audio/emopia/{_ARCHIVES[split]}")
    with _archive(path) as archive:
        return sorted(Path(name).stem for name in archive.namelist() if name.endswith(".mid"))


def read(split: str | None = None, *, cache: Path = DEFAULT_CACHE) -> list[ClipRow]:
    """Rendered clips of one split (train, validation), or all; ``group`` is the song.

    Parameters
    ----------
    split
        ``None`` for both.
    cache
        Folder that :func:`render` filled.

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
            rows.append(ClipRow(clip, cache / f"{clip}.flac", shares, group=emopia_song(clip)))
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
    sound_font: Path | None = None,
    report: Callable[[str], None] = print,
) -> list[str]:
    """Render every clip that is not in the cache yet.

    Parameters
    ----------
    cache
        Folder for ``<clip>.flac``; made if it is not there.
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
        (split, clip)
        for split in _ARCHIVES
        for clip in clip_ids(split)
        if not (cache / f"{clip}.flac").is_file()
    ]
    failed: list[str] = []
    start = last = time.monotonic()
    for done, (split, clip) in enumerate(jobs):
        now = time.monotonic()
        if done and now - last > 5:
            left_s = (now - start) / done * (len(jobs) - done)
            report(f"EMOPIA: {done} of {len(jobs)} clips rendered, {left_s / 60:.1f} min left")
            last = now
        try:
            _render_clip(split, clip, cache, font)
        except (InputError, subprocess.SubprocessError, OSError) as error:
            failed.append(f"{clip}: {error}")
    report(f"EMOPIA: {len(jobs) - len(failed)} clips rendered, {len(failed)} failed, in {cache}")
    return failed


def _render_clip(split: str, clip: str, cache: Path, font: Path) -> None:
    import soundfile

    with tempfile.TemporaryDirectory(dir=cache, prefix=_UNFINISHED) as folder:
        midi, wav, flac = (Path(folder) / name for name in ("clip.mid", "clip.wav", "clip.flac"))
        with _archive(require(f"audio/emopia/{_ARCHIVES[split]}")) as archive:
            midi.write_bytes(archive.read(f"{clip}.mid"))
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
        os.replace(flac, cache / f"{clip}.flac")


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
    options = parser.parse_args(arguments)

    def report(line: str) -> None:
        print(line, flush=True)

    failed = render(options.cache, sound_font=options.sound_font, report=report)
    for line in failed:
        print(line, file=sys.stderr)
    return 1 if failed else 0


if __name__ == "__main__":
    raise SystemExit(main())
