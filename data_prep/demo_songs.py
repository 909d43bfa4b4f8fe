"""Song tables of the demo catalogue, written from the data folder.

Run ``python -m data_prep.demo_songs OUT``; ``maeum index`` then makes the
catalogue of the tables, as it would of any user's. OUT lies outside the
repository's history: the tables hold words and paths of this machine.

- ``emotify.csv``: 320 released recordings, sound only; facts from their own tags.
- ``cc_songs.csv``: Creative Commons songs with words and sound.
- ``jamendo.csv``: Creative Commons songs, most of them with words only.
- ``poems.csv``: Korean songs whose words are poems by 김소월 and 한용운, in the
  public domain. ``demo_poems.csv`` beside this file says which lines of KPoEM make
  each poem. KPoEM gives a line that recurs only once, so a refrain counts once;
  Chinese characters that merely gloss the Korean word are left out, as nobody
  sings them. By whom a poem was sung or set to music is said only where it is
  certain; elsewhere the artist is the poet, marked ``(시)``.

Every row has a link: the page the song can be heard on where the data names it,
else a search for its title and artist.
"""

from __future__ import annotations

import argparse
import csv
import re
import sys
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final
from urllib.parse import quote_plus, urlsplit

from data_prep.data_folder import require
from data_prep.errors import InputError, MaeumError
from data_prep.readers import emotify, kpoem
from data_prep.readers.csv_table import records

COLUMNS: Final = (
    "id", "title", "artist", "album", "year", "genre", "language", "licence", "link", "source",
    "lyrics", "lyrics_path", "audio_path",
)  # fmt: skip

POEMS: Final = Path(__file__).parent / "demo_poems.csv"

_SEARCH: Final = "https://www.youtube.com/results?search_query="
_URL: Final = re.compile(r"https?://[^\s\"'<>]+")
_TRACK_PAGE: Final = re.compile(r"https://[\w-]+\.bandcamp\.com/track/[\w-]+")
_LICENCE: Final = re.compile(r"creativecommons\.org/licenses/([a-z-]+)/(\d\.\d)")
_TRACK_NUMBER: Final = re.compile(r"^\d{1,2} - ")
_NO_GENRE: Final = ("", "unclassifiable", "other", "unknown")
_ROLE: Final = re.compile(r"\s*\([^()]*\)$")

_GLOSS: Final = re.compile(r"(?<=[가-힣])\([\u3400-\u9fff\uf900-\ufaff]+\)")  # 영변(寧邊)
_READING: Final = re.compile(r"[\u3400-\u9fff\uf900-\ufaff]+\(([가-힣]+)\)")  # 燈(등)불

Row = dict[str, str]


@dataclass(frozen=True)
class Poem:
    """Facts of a poem; its words are lines of KPoEM.

    Attributes
    ----------
    performer_or_composer
        ``None`` unless it is certain; a composer is marked ``(작곡)``.
    year
        Of the performer's recording or the composer's setting; ``None`` unless certain.
    first, last
        Numbers ``n`` of its first and last line, both included.
    """

    id: str
    title: str
    poet: str
    performer_or_composer: str | None
    year: int | None
    first: int
    last: int

    def __post_init__(self) -> None:
        if not 0 < self.first <= self.last:
            raise InputError(
                f"poem {self.id}: lines {self.first} to {self.last}: expected first <= last"
            )

    @property
    def artist(self) -> str:
        return self.performer_or_composer or f"{self.poet} (시)"


def search_link(*words: str) -> str:
    """Address of a search for a song by these words, percent-encoded."""
    return _SEARCH + quote_plus(" ".join(" ".join(words).split()))


def read_poems(path: Path = POEMS) -> tuple[Poem, ...]:
    """The poems of the demo catalogue, in the order of the file.

    Raises
    ------
    InputError
        If a column is missing or a number is none.
    """
    poems = []
    needed = ("id", "title", "poet", "performer_or_composer", "year", "first", "last")
    for number, record in records(path, needed):
        try:
            poems.append(
                Poem(
                    id=record["id"],
                    title=record["title"],
                    poet=record["poet"],
                    performer_or_composer=record["performer_or_composer"] or None,
                    year=int(record["year"]) if record["year"] else None,
                    first=int(record["first"]),
                    last=int(record["last"]),
                )
            )
        except ValueError as error:
            raise InputError(f"{path}, line {number}: not a number: {error}") from error
    return tuple(poems)


def poem_lines(poem: Poem, lines: Mapping[int, tuple[str, str]]) -> list[str]:
    """The lines of a poem, without glosses.

    Parameters
    ----------
    lines
        Number → poet and text, as :func:`numbered_lines` gives them.

    Raises
    ------
    InputError
        If one of its numbers is no line of its poet.
    """
    words = []
    for number in range(poem.first, poem.last + 1):
        poet, text = lines.get(number, (None, ""))
        if poet != poem.poet:
            raise InputError(
                f"poem {poem.id}: number {number} of KPoEM is no line of {poem.poet} "
                f"but of {poet or 'nobody'}: correct {POEMS.name} or the data folder"
            )
        words.append(_GLOSS.sub("", _READING.sub(r"\1", text)))
    return words


def numbered_lines() -> dict[int, tuple[str, str]]:
    """Number → poet and text of every line of KPoEM."""
    return {
        int(row.id.removeprefix("line-")): (row.poet, row.text) for row in kpoem.read(unit="line")
    }


def write_tables(out: Path) -> list[Path]:
    """Write the four tables into a folder, which is made if need be; their paths.

    Raises
    ------
    MissingDataError
        If a data set is not in the data folder.
    InputError
        If one of them, or the poems' facts, cannot be used.
    """
    tables = {
        "emotify": _emotify(),
        "cc_songs": _cc_songs(),
        "jamendo": _jamendo(),
        "poems": _poems(),
    }
    out.mkdir(parents=True, exist_ok=True)
    return [_write(out / f"{source}.csv", source, rows) for source, rows in tables.items()]


def _write(path: Path, source: str, rows: Iterable[Row]) -> Path:
    with path.open("w", encoding="utf-8", newline="") as file:
        table = csv.DictWriter(file, COLUMNS, restval="")
        table.writeheader()
        for row in rows:
            table.writerow({**row, "id": f"{source}-{row['id']}", "source": source})
    return path


def _emotify() -> list[Row]:
    rows: list[Row] = []
    for clip in emotify.read():
        tags = _tags(clip.path)
        title, artist = tags.get("title", ""), tags.get("artist", "")
        if not title or not artist:
            raise InputError(f"{clip.path} has no title or no artist in its tags")
        title = _TRACK_NUMBER.sub("", title).rstrip(" :")
        rows.append(
            {
                "id": clip.id,
                "title": title,
                "artist": artist,
                "album": tags.get("album", ""),
                "year": tags.get("date", "")[:4],
                "genre": clip.id.split("-")[0],
                "licence": emotify.LICENCE,
                "link": _page(tags.get("description", "")) or search_link(title, artist),
                "audio_path": str(clip.path.resolve()),
            }
        )
    return rows


def _cc_songs() -> list[Row]:
    index = require("songs/cc_songs/index.csv")
    rows: list[Row] = []
    for row in _indexed(index):
        note_path = index.parent / f"{row['id']}.license.txt"
        note = note_path.read_text(encoding="utf-8", errors="replace")
        # The note names the licences of cover and video too; the recording's comes first.
        licence = _LICENCE.search(note)
        if licence is None:
            raise InputError(f"{note_path} names no Creative Commons licence")
        page = _TRACK_PAGE.search(note)
        row["licence"] = f"CC {licence.group(1).upper()} {licence.group(2)}"
        row["link"] = page.group() if page else search_link(row["title"], row["artist"])
        rows.append(row)
    return rows


def _jamendo() -> list[Row]:
    index = require("songs/jamendo/index.csv")
    rows: list[Row] = []
    for row in _indexed(index, "url"):
        row["link"] = row.pop("url").removesuffix("/lyrics")
        row["licence"] = row["licence"].replace("CC CC ", "CC ")
        rows.append(row)
    return rows


def _poems() -> list[Row]:
    lines = numbered_lines()
    rows: list[Row] = []
    for poem in read_poems():
        performer = _ROLE.sub("", poem.performer_or_composer or "")
        words = (poem.title, performer) if performer else (poem.title, poem.poet, "노래")
        rows.append(
            {
                "id": poem.id,
                "title": poem.title,
                "artist": poem.artist,
                "year": str(poem.year or ""),
                "language": "ko",
                "licence": "words in the public domain",
                "link": search_link(*words),
                "lyrics": "\n".join(poem_lines(poem, lines)),
            }
        )
    return rows


def _indexed(index: Path, *more: str) -> Iterable[Row]:
    """Rows of a song folder's index, paths made whole, with what the tags add."""
    needed = ("id", "title", "artist", "language", "audio_path", "lyrics_path", "licence", *more)
    for _, record in records(index, needed):
        row = {name: record[name].strip() for name in needed}
        genre = (record.get("genre") or "").strip()
        for name in ("audio_path", "lyrics_path"):
            if row[name]:
                row[name] = str((index.parent / row[name]).resolve())
        if row["audio_path"]:
            tags = _tags(Path(row["audio_path"]))
            # The recording's own title goes before the index's, which misspells one.
            row["title"] = tags.get("title", row["title"])
            row["album"] = tags.get("album", "")
            row["year"] = tags.get("date", "")[:4]
            genre = genre or tags.get("genre", "")
        row["genre"] = "" if genre.lower() in _NO_GENRE else genre.lower()
        yield row


def _tags(path: Path) -> dict[str, str]:
    """First value of each tag, by mutagen's common names, spaces folded."""
    import mutagen

    try:
        file: Any = mutagen.File(path, easy=True)
    except (mutagen.MutagenError, OSError) as error:
        raise InputError(f"{path}: its tags cannot be read: {error}") from error
    if file is None:
        raise InputError(f"{path} is no sound file that has tags")
    return {
        name.lower(): " ".join(str(values[0]).split())
        for name, values in (file.tags or {}).items()
        if values
    }


def _page(text: str) -> str | None:
    """The first address in a text that leads further than a site's front page."""
    for address in _URL.findall(text):
        if urlsplit(address).path.strip("/"):
            return str(address)
    return None


def main(arguments: Sequence[str] | None = None) -> int:
    """Write the song tables of the demo catalogue from the data folder (MAEUM_DATA)."""
    parser = argparse.ArgumentParser(
        prog="python -m data_prep.demo_songs", description=main.__doc__
    )
    parser.add_argument("out", type=Path, metavar="OUT", help="folder for the tables")
    options = parser.parse_args(arguments)
    try:
        paths = write_tables(options.out)
    except MaeumError as error:
        print(f"demo_songs: {error}", file=sys.stderr)
        return 2
    for path in paths:
        with path.open(encoding="utf-8", newline="") as file:
            print(f"{path}: {sum(1 for _ in csv.DictReader(file))} songs")
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
