"""Lyrics made ready for a model: cleaned, cut into segments, each with its weight.

How that is done is a *preset*. Three follow what is known of published systems, so
that their results can be made again; where a publication leaves a rule open, the
preset's own comment says how it was read. ``MAEUM`` is the project's own and what it
serves: nothing that is sung is thrown away with the song it stands in, and what says
nothing weighs nothing.

A song that a preset cannot use is a :class:`DroppedLyrics` with the reason.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Collection
from dataclasses import dataclass
from typing import Final, Literal

import numpy as np
from numpy.typing import NDArray

from data_prep.errors import InputError
from data_prep.lyric_lines import LineWeighting, weigh_lines
from data_prep.lyrics_text import (
    LINES_PER_SEGMENT,
    clean_lyrics,
    segment_lyrics,
    short_lines,
    without_marks,
)

CleaningName = Literal["none", "special characters", "full"]
DropKind = Literal[
    "instrumental",
    "drama dialogue",
    "section words",
    "unseen English",
    "duplicate",
    "only syllables",
    "no words",
    "too short",
]


@dataclass(frozen=True)
class LyricPreset:
    """Rules of preparation.

    Attributes
    ----------
    name
        Key of ``PRESETS``.
    cleaning
        ``"none"``; ``"special characters"``, which leaves letters, digits, spaces
        and ``.,!?'"~``; or ``"full"``, ``clean_lyrics`` and ``without_marks``.
    min_characters
        Cleaned lyrics with fewer characters are dropped.
    min_letters
        Likewise, counting letters and digits only.
    instrumental_titles
        Regular expression; a song whose title has it is dropped. Empty for none.
    section_words
        Regular expression; a song whose lyrics have it are dropped. Empty for none.
    drop_dialogue
        Drop spoken scenes of dramas.
    drop_unseen_english
        Drop lyrics with a Latin word that the training text does not have.
    drop_duplicates
        Drop lyrics that are exactly those of an earlier song.
    lines_per_segment
        ``None`` reads the whole song as one text.
    max_tokens
        Tokens a model reads of one segment, for the caller; ``None`` leaves it to
        the model.
    weighting
        Of lines, by number of words; ``None`` gives every segment the same weight.
    """

    name: str
    cleaning: CleaningName
    min_characters: int = 0
    min_letters: int = 0
    instrumental_titles: str = ""
    section_words: str = ""
    drop_dialogue: bool = False
    drop_unseen_english: bool = False
    drop_duplicates: bool = False
    lines_per_segment: int | None = LINES_PER_SEGMENT
    max_tokens: int | None = None
    weighting: LineWeighting | None = None

    def __post_init__(self) -> None:
        if min(self.min_characters, self.min_letters) < 0:
            raise InputError(
                f"preset {self.name!r}: min_characters and min_letters cannot be negative"
            )
        if self.lines_per_segment is not None and self.lines_per_segment < 1:
            raise InputError(
                f"preset {self.name!r}: lines_per_segment must be 1 or more, or None for the "
                f"whole song; got {self.lines_per_segment}"
            )
        if self.weighting is not None and self.lines_per_segment != LINES_PER_SEGMENT:
            raise InputError(
                f"preset {self.name!r}: lines are weighed in segments of {LINES_PER_SEGMENT} lines"
            )


WYF: Final = LyricPreset(
    "wyf",
    cleaning="none",
    min_characters=50,
    instrumental_titles=r"(?<![^\W\d_])inst(?:rumental)?(?![^\W\d_])",
    section_words=r"(?<![^\W\d_])(?:verse|hook|chorus|bridge|intro|outro)(?![^\W\d_])",
    drop_dialogue=True,
    drop_duplicates=True,
    lines_per_segment=None,
    max_tokens=512,
)
"""WYF "What's Your Feeling": short, instrumental, spoken, marked and repeated lyrics dropped.

Read as whole words, in any case: "inst" in a title, section words anywhere in the lyrics.
How drama dialogue was told is not published; here by a title that names it, or by
lyrics of which at least half the lines, and three, begin with a speaker and a colon.
"""

STATUS_MESSAGE: Final = LyricPreset("status-message", cleaning="none", drop_unseen_english=True)
"""Status-message recommender: four lines are one sentence, the song is the mean of all.

Lyrics with English words that the training text does not have are dropped; the caller
gives the words it has.
"""

LYRIC_SENTIMENT: Final = LyricPreset(
    "lyric-sentiment", cleaning="special characters", lines_per_segment=None
)
"""Lyric-sentiment study: special characters removed, the song read as one text.

Which characters is not published.
"""

MAEUM: Final = LyricPreset(
    "maeum",
    cleaning="full",
    min_letters=2,
    instrumental_titles=(
        r"[\[(\-–—]\s*(?:[^\])]*\s)?"
        r"(?:(?:inst(?:rumental)?|karaoke|반주|연주)(?![^\W\d_])|m\.?r\.?\s*(?:[\])]|$))"
        r"|\sinst\.?\s*$"
    ),
    weighting=LineWeighting(),
)
"""The project's own: section words and repeat marks removed instead of the song dropped.

Syllables without words weigh nothing, a line sung again counts once, and a segment
weighs as much as it has words. A title drops a song only where it names a version
without singing: "(Inst.)", "- Instrumental", "[MR]".
"""

PRESETS: Final[dict[str, LyricPreset]] = {
    preset.name: preset for preset in (MAEUM, WYF, STATUS_MESSAGE, LYRIC_SENTIMENT)
}


@dataclass(frozen=True, eq=False)
class WeightedSegments:
    """Segments of one song in order, and the weight of each in the song's mean.

    Attributes
    ----------
    segments
        At least one; none is blank.
    weights
        Array (segments,) float32, every one above zero.
    """

    segments: tuple[str, ...]
    weights: NDArray[np.float32]

    def __post_init__(self) -> None:
        if self.weights.shape != (len(self.segments),) or not self.segments:
            raise InputError(
                f"expected a weight for each of one segment or more, got {len(self.segments)} "
                f"segments and weights of shape {self.weights.shape}"
            )
        if not np.all(np.isfinite(self.weights)) or bool(np.any(self.weights <= 0)):
            raise InputError(f"weights of segments must be above zero, got {self.weights.tolist()}")

    def mean(self, values: NDArray[np.floating]) -> NDArray[np.float32]:
        """Weighted mean over the first axis of (segments, ...), e.g. of distributions."""
        if len(values) != len(self.segments):
            raise InputError(f"{len(values)} rows for {len(self.segments)} segments")
        mean = np.tensordot(self.weights, values, axes=1) / self.weights.sum()
        return np.asarray(mean, dtype=np.float32)


@dataclass(frozen=True, eq=False)
class PreparedLyrics:
    """Lyrics that can be read.

    Attributes
    ----------
    text
        Cleaned, whole.
    segments
        What to read of it.
    n_lines
        Lines with words or syllables on them.
    n_without_words, n_repeated
        Lines among them of syllables only, and lines sung before; 0 where the
        preset does not weigh lines.
    """

    text: str
    segments: WeightedSegments
    n_lines: int
    n_without_words: int = 0
    n_repeated: int = 0


@dataclass(frozen=True)
class DroppedLyrics:
    """Lyrics that cannot be read: the kind of reason, and the reason for the user."""

    kind: DropKind
    reason: str


_DIALOGUE_TITLE: Final = re.compile(
    r"대사|(?<![^\W\d_])(?:dialogue|narration)(?![^\W\d_])|[나내]레이션", re.IGNORECASE
)
_SPEAKER: Final = re.compile(r"^\s*[^\W\d_][\w ]{0,11}\s*[:：]\s*\S")
_LATIN_WORD: Final = re.compile(r"[a-z]+(?:['’][a-z]+)*")
_SPECIAL: Final = re.compile(r"[^\w\s.,!?'\"~]|_")
_SAYS_INSTRUMENTAL: Final = re.compile(
    r"(?:this (?:song|track) is )?(?:an )?instrumental(?: (?:song|track|only))?"
    r"|(?:이 곡은 )?(?:연주곡|연주음악|경음악)(?:입니다)?|간주(?:중)?",
    re.IGNORECASE,
)
_SAYS_NO_LYRICS: Final = re.compile(
    r"(?:등록된 )?가사(?:가|는)? ?(?:없음|없습니다|없는 곡입니다|준비 ?중(?:입니다)?)"
    r"|no lyrics(?: available)?|lyrics (?:are )?not (?:available|found)",
    re.IGNORECASE,
)


def prepare(
    text: str,
    preset: LyricPreset = MAEUM,
    *,
    title: str = "",
    known_english: Collection[str] | None = None,
    seen: set[bytes] | None = None,
) -> PreparedLyrics | DroppedLyrics:
    """Prepare the lyrics of one song.

    Parameters
    ----------
    text
        As they came: a tag, an .lrc file, a table's cell. The language is not
        looked at (``data_prep.language``).
    title
        Of the song; some rules look at it.
    known_english
        Lower-case English words of the training text, for presets that drop songs
        with others.
    seen
        What to remember earlier songs by; give the same set for all songs of a run.
        16 bytes a song are added. ``None`` keeps duplicates.

    Returns
    -------
    Segments with weights, or why there are none.

    Raises
    ------
    InputError
        If the preset needs ``known_english`` and it is not given.
    """
    unusable = _unusable(text, preset, title, known_english)
    if unusable is not None:
        return unusable
    cleaned = _cleaned(text, preset.cleaning)
    n_letters = sum(character.isalnum() for character in cleaned)
    if n_letters == 0:
        return _statement(text) or DroppedLyrics("no words", "no words are left after cleaning")
    if len(cleaned) < preset.min_characters or n_letters < preset.min_letters:
        least = (
            f"{preset.min_characters} characters"
            if len(cleaned) < preset.min_characters
            else f"{preset.min_letters} letters"
        )
        return DroppedLyrics("too short", f"the lyrics are too short: fewer than {least}")
    prepared = _segmented(cleaned, preset)
    if preset.drop_duplicates and seen is not None and isinstance(prepared, PreparedLyrics):
        digest = hashlib.blake2b(text.strip().encode("utf-8", "surrogatepass"), digest_size=16)
        if digest.digest() in seen:
            return DroppedLyrics("duplicate", "the lyrics are exactly those of an earlier song")
        seen.add(digest.digest())
    return prepared


def _unusable(
    text: str, preset: LyricPreset, title: str, known_english: Collection[str] | None
) -> DroppedLyrics | None:
    """Why the preset drops the song as a whole, whatever it says."""
    if preset.instrumental_titles and re.search(preset.instrumental_titles, title, re.IGNORECASE):
        return DroppedLyrics("instrumental", f"{title!r} is a version without singing")
    if preset.drop_dialogue and _is_dialogue(text, title):
        return DroppedLyrics("drama dialogue", "the text is spoken dialogue of a drama")
    if preset.section_words:
        match = re.search(preset.section_words, text, re.IGNORECASE)
        if match:
            return DroppedLyrics("section words", f"the lyrics have {match.group()!r} in them")
    if preset.drop_unseen_english:
        if known_english is None:
            raise InputError(
                f"preset {preset.name!r} drops songs with English words that the training text "
                "does not have: give known_english, the words it has"
            )
        unseen = next((w for w in _LATIN_WORD.findall(text.lower()) if w not in known_english), "")
        if unseen:
            return DroppedLyrics(
                "unseen English", f"the training text does not have the word {unseen!r}"
            )
    return None


def _is_dialogue(text: str, title: str) -> bool:
    if _DIALOGUE_TITLE.search(title):
        return True
    lines = [line for line in text.splitlines() if line.strip()]
    n_spoken = sum(_SPEAKER.match(line) is not None for line in lines)
    return n_spoken >= 3 and 2 * n_spoken >= len(lines)


def _cleaned(text: str, cleaning: CleaningName) -> str:
    if cleaning == "full":
        return without_marks(clean_lyrics(text))
    if cleaning == "special characters":
        text = _SPECIAL.sub(" ", text)
    lines = [" ".join(line.split()) for line in text.strip().splitlines()]
    return "\n".join(lines)


def _statement(text: str) -> DroppedLyrics | None:
    """What a text that only says there are no lyrics says."""
    said = " ".join(re.findall(r"[^\W_]+", text))
    if _SAYS_INSTRUMENTAL.fullmatch(said):
        return DroppedLyrics("instrumental", "the song is marked as instrumental")
    if _SAYS_NO_LYRICS.fullmatch(said):
        return DroppedLyrics("no words", "the text says that there are no lyrics")
    return None


def _segmented(cleaned: str, preset: LyricPreset) -> PreparedLyrics | DroppedLyrics:
    lines = [line for line in cleaned.split("\n") if line.strip()]
    if preset.weighting is not None:
        return _weighed(cleaned, preset.weighting)
    if preset.lines_per_segment is None:
        segments = ["\n".join(lines)]
    else:
        starts = range(0, len(lines), preset.lines_per_segment)
        groups = ("\n".join(lines[s : s + preset.lines_per_segment]) for s in starts)
        segments = [group for group in groups if group]
    weights = np.ones(len(segments), dtype=np.float32)
    return PreparedLyrics(cleaned, WeightedSegments(tuple(segments), weights), len(lines))


def _weighed(cleaned: str, weighting: LineWeighting) -> PreparedLyrics | DroppedLyrics:
    statement = _statement(cleaned)
    if statement is not None:
        return statement
    lines = [line for line in short_lines(cleaned) if any(map(str.isalnum, line))]
    weighed = weigh_lines(lines, weighting)
    counts = weighed.weights > 0
    kept = [line for line, counted in zip(lines, counts, strict=True) if counted]
    if not kept:
        return DroppedLyrics("only syllables", "no words, only syllables such as 'la la' or '우우'")
    segments = segment_lyrics("\n".join(kept))
    # No line is longer than a segment may be, so a segment is made of whole lines.
    ends = np.cumsum([segment.count("\n") + 1 for segment in segments])
    starts = np.concatenate([[0], ends[:-1]])
    weights = np.add.reduceat(weighed.weights[counts], starts).astype(np.float32)
    return PreparedLyrics(
        text=cleaned,
        segments=WeightedSegments(tuple(segments), weights),
        n_lines=len(lines),
        n_without_words=weighed.n_without_words,
        n_repeated=weighed.n_repeated,
    )
