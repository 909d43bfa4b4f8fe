"""Labels as people typed them, brought to those of the taxonomy, with an account of it.

A published table may hold a label with a stray space, a wrong jamo (ㅈ립 for 중립) or
one that no list knows. A label is mended only where one label of the set is nearer
than all others and near enough; what is ambiguous or too far is left out, never
guessed. :class:`LabelTally` keeps the account while a file is read, and
:class:`LabelReport` is what it says in the end.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import cache
from typing import Final, Literal

from data_prep.taxonomy import native_label_set, native_label_set_names

FIRST_ROWS: Final = 5
"""How many places of each finding a report names."""

_FIRST_SYLLABLE: Final = 0xAC00
_LAST_SYLLABLE: Final = 0xD7A3
_LEADS: Final = "ㄱㄲㄴㄷㄸㄹㅁㅂㅃㅅㅆㅇㅈㅉㅊㅋㅌㅍㅎ"
_VOWELS: Final = "ㅏㅐㅑㅒㅓㅔㅕㅖㅗㅘㅙㅚㅛㅜㅝㅞㅟㅠㅡㅢㅣ"
_TAILS: Final = ("", *"ㄱㄲㄳㄴㄵㄶㄷㄹㄺㄻㄼㄽㄾㄿㅀㅁㅂㅄㅅㅆㅇㅈㅊㅋㅌㅍㅎ")

Outcome = Literal["as it is", "mended", "unknown", "ambiguous"]


def jamo(text: str) -> str:
    """Hangul syllables taken apart into their letters: ``"중립"`` → ``"ㅈㅜㅇㄹㅣㅂ"``.

    Letters are those of the keyboard (compatibility jamo), so that a lone ``"ㅈ"``
    equals the first letter of ``"중"``. Other characters stay.
    """
    letters: list[str] = []
    for character in text:
        code = ord(character)
        if _FIRST_SYLLABLE <= code <= _LAST_SYLLABLE:
            lead, rest = divmod(code - _FIRST_SYLLABLE, len(_VOWELS) * len(_TAILS))
            vowel, tail = divmod(rest, len(_TAILS))
            letters.append(_LEADS[lead] + _VOWELS[vowel] + _TAILS[tail])
        else:
            letters.append(character)
    return "".join(letters)


def edit_distance(a: str, b: str) -> int:
    """Levenshtein distance: insertions, deletions and replacements of one character."""
    previous = list(range(len(b) + 1))
    for i, left in enumerate(a, start=1):
        current = [i]
        for j, right in enumerate(b, start=1):
            current.append(
                min(previous[j] + 1, current[j - 1] + 1, previous[j - 1] + (left != right))
            )
        previous = current
    return previous[-1]


@dataclass(frozen=True)
class CleanedLabel:
    """What became of one value.

    Attributes
    ----------
    label
        The label of the set; ``None`` if the value is none of them.
    outcome
        ``"as it is"``, ``"mended"``, ``"unknown"`` (too far from every label) or
        ``"ambiguous"`` (as near to one label as to another).
    """

    label: str | None
    outcome: Outcome


@cache
def clean_label(value: str, label_set: str) -> CleanedLabel:
    """The label that a typed value stands for.

    Spaces, punctuation and the form of Unicode do not count. A value that is no
    label even then is compared letter by letter (jamo): at most one letter in
    three may differ, and never more than three. A word that another label set of
    the taxonomy knows is that label and no typing error ("불만" is not "불안").

    Parameters
    ----------
    value
        As it stands in the file.
    label_set
        Key of a native label set of the taxonomy.

    Raises
    ------
    InputError
        If there is no such label set.
    """
    labels = native_label_set(label_set).labels
    if value in labels:
        return CleanedLabel(value, "as it is")
    folded = _folded(value)
    if not folded:
        return CleanedLabel(None, "unknown")
    for label in labels:
        if folded == _folded(label):
            return CleanedLabel(label, "mended")
    letters = jamo(folded)
    distances = sorted((edit_distance(letters, jamo(_folded(label))), label) for label in labels)
    (distance, nearest), *others = distances
    if distance > _most_edits(nearest):
        return CleanedLabel(None, "unknown")
    if others and others[0][0] == distance:
        return CleanedLabel(None, "ambiguous")
    if folded in _known_words() and not folded.startswith(_folded(nearest)[:2]):
        return CleanedLabel(None, "unknown")
    return CleanedLabel(nearest, "mended")


def _most_edits(label: str) -> int:
    return max(1, min(3, len(jamo(_folded(label))) // 3))


def _folded(value: str) -> str:
    composed = unicodedata.normalize("NFC", value).lower()
    return "".join(character for character in composed if character.isalnum())


@cache
def _known_words() -> frozenset[str]:
    """Labels of all sets, and their parts where a label is made of several ("불평/불만")."""
    labels = [label for name in native_label_set_names() for label in native_label_set(name).labels]
    parts = [part for label in labels for part in (label, *re.split(r"[/,()]", label))]
    return frozenset(_folded(part) for part in parts) - {""}


@dataclass(frozen=True)
class Sighting:
    """How often something was found, and where first (at most ``FIRST_ROWS`` places)."""

    count: int
    first: tuple[str, ...]

    def __str__(self) -> str:
        more = ", …" if self.count > len(self.first) else ""
        return f"{self.count:,} ({', '.join(self.first)}{more})" if self.first else f"{self.count}"


@dataclass(frozen=True)
class LabelReport:
    """What was found while labelled rows were read. ``str`` gives it in lines of text.

    Attributes
    ----------
    label_set
        Key of the native label set.
    files
        Names of the files read.
    n_read
        Rows that are not blank; each is counted once below.
    n_as_they_are
        Rows used with their label as it stood.
    mended
        (from, to) → rows used with a label that had to be mended.
    left_out
        Value → rows without a label of the set; ``""`` where the cell is empty.
    malformed
        Problem → rows that are not what they should be.
    empty_texts
        Rows with a label and no words.
    repeated
        Rows whose text had come before. They are used, and share a group with the first.
    rows_per_label
        Label → rows used, in the order of the label set.
    remarks
        Files that were not read, and why.
    """

    label_set: str
    files: tuple[str, ...]
    n_read: int
    n_as_they_are: int
    mended: Mapping[tuple[str, str], Sighting]
    left_out: Mapping[str, Sighting]
    malformed: Mapping[str, Sighting]
    empty_texts: Sighting
    repeated: Sighting
    rows_per_label: Mapping[str, int]
    remarks: tuple[str, ...] = ()

    @property
    def n_used(self) -> int:
        """Rows used."""
        return self.n_as_they_are + sum(found.count for found in self.mended.values())

    @property
    def empty_classes(self) -> tuple[str, ...]:
        """Labels of the set that no row has."""
        return tuple(label for label, rows in self.rows_per_label.items() if rows == 0)

    def __str__(self) -> str:
        lines = [
            f"{self.n_used:,} of {self.n_read:,} rows used ({self.n_as_they_are:,} as they are) "
            f"from {', '.join(self.files) or 'no file'}"
        ]
        lines += [
            f"mended: {old!r} -> {new!r}: {found}" for (old, new), found in self.mended.items()
        ]
        lines += [
            f"left out, {value!r} is no label of {self.label_set}: {found}"
            for value, found in self.left_out.items()
        ]
        lines += [f"malformed, {problem}: {found}" for problem, found in self.malformed.items()]
        if self.empty_texts.count:
            lines.append(f"left out, no words: {self.empty_texts}")
        if self.repeated.count:
            lines.append(f"texts that came before: {self.repeated}")
        if self.empty_classes:
            lines.append(f"labels without a row: {', '.join(self.empty_classes)}")
        return "\n".join([*lines, *self.remarks])


@dataclass
class LabelTally:
    """The account of one reading; each row ends in exactly one of its methods but ``repeat``."""

    label_set: str
    _places: dict[tuple[str, ...], list[str]] = field(default_factory=dict)
    _counts: dict[tuple[str, ...], int] = field(default_factory=dict)
    _remarks: list[str] = field(default_factory=list)

    def use(self, value: str, label: str, where: str) -> None:
        """A row is used with ``label``; it is mended if that is not its value."""
        self._count(("label", label))
        self._count(("as it is",) if value == label else ("mended", value, label), where)

    def leave_out(self, value: str, where: str) -> None:
        """A row's value is no label."""
        self._count(("left out", value), where)

    def malformed(self, problem: str, where: str) -> None:
        """A row is not what it should be."""
        self._count(("malformed", problem), where)

    def empty_text(self, where: str) -> None:
        """A row has a label and no words."""
        self._count(("empty text",), where)

    def repeat(self, where: str) -> None:
        """A row that is used has a text that came before."""
        self._count(("repeated",), where)

    def remark(self, text: str) -> None:
        """Something about a whole file."""
        self._remarks.append(text)

    def report(self, files: Sequence[str]) -> LabelReport:
        """The account as it stands now, most frequent findings first."""
        kinds: dict[str, dict[tuple[str, ...], Sighting]] = {}
        for key in sorted(self._counts, key=lambda k: (-self._counts[k], k)):
            kinds.setdefault(key[0], {})[key[1:]] = self._sighting(key)
        ways = ("as it is", "mended", "left out", "malformed", "empty text")
        read = sum(found.count for way in ways for found in kinds.get(way, {}).values())
        return LabelReport(
            label_set=self.label_set,
            files=tuple(files),
            n_read=read,
            n_as_they_are=self._counts.get(("as it is",), 0),
            mended={(old, new): found for (old, new), found in kinds.get("mended", {}).items()},
            left_out={value: found for (value,), found in kinds.get("left out", {}).items()},
            malformed={problem: found for (problem,), found in kinds.get("malformed", {}).items()},
            empty_texts=self._sighting(("empty text",)),
            repeated=self._sighting(("repeated",)),
            rows_per_label={
                label: self._counts.get(("label", label), 0)
                for label in native_label_set(self.label_set).labels
            },
            remarks=tuple(self._remarks),
        )

    def _sighting(self, key: tuple[str, ...]) -> Sighting:
        return Sighting(self._counts.get(key, 0), tuple(self._places.get(key, ())))

    def _count(self, key: tuple[str, ...], where: str = "") -> None:
        self._counts[key] = self._counts.get(key, 0) + 1
        places = self._places.setdefault(key, [])
        if where and len(places) < FIRST_ROWS:
            places.append(where)
