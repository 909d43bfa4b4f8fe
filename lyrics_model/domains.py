"""How much of their vocabulary domains share (Gururangan et al. 2020, figure 2).

A domain is a text file, one text per line. Its vocabulary is its ``size`` most
frequent words (10,000 as published) without stopwords; the overlap of two domains
is the share of these that are in both. Where a domain has fewer, both
vocabularies are cut to the smaller one's number, so that the overlap is
symmetric and 1 for a domain with itself.

A word is a run of letters, lower-cased (in Korean an eojeol, with its particles);
with ``unit="pieces"`` an encoder's word pieces are counted instead, which tell
stem from particle.
"""

from __future__ import annotations

import json
import re
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final, Literal

import numpy as np
from numpy.typing import NDArray

from data_prep.errors import InputError
from lyrics_model.token_file import PieceCutter, decode_line, read_lines, write_json

Unit = Literal["words", "pieces"]
PUBLISHED_SIZE: Final = 10_000
REPORT: Final = "overlap.json"
HEATMAP: Final = "overlap-heatmap.png"
CHART: Final = "overlap-chart.png"
_WORD: Final = re.compile(r"[^\W\d_]+")
MOST_TEXTS: Final = 500_000
_START: Final = 1 << 20
_MOST_COUNTED: Final = 2_000_000
_TEXTS_AT_ONCE: Final = 4_096

_ENGLISH: Final = """
a about after again all also am an and any are as at be because been before being both but by
can could did do does doing down each even few for from further get go had has have having he
her here hers him his how i if in into is it its just like me more most my no nor not now of
off on once only or other our out over own same she should so some such than that the their
them then there these they this those through to too under until up very was we were what
when where which while who whom why will with would you your d ll m re s t ve don
"""
_KOREAN: Final = """
그 그가 그것 그는 그냥 그들 그래 그래서 그러나 그런 그런데 그럼 그렇게 그리고 그저 근데 나 나는
나도 나를 나의 난 날 내 내가 너 너는 너를 너의 넌 네 네가 널 다 다시 더 도 때 때문에 또 또는 및
못 무슨 뭐 바로 별로 수 시 아 아니 아주 안 어떤 어떻게 에 에서 와 왜 우리 은 을 의 이 이거 이건
이것 이게 이런 이렇게 있는 있다 저 저는 저도 전 정말 제 제가 좀 지 진짜 참 처럼 하고 하는 하다
하지만 한 할 해 해서 했다 것 건 게 거 걸 너무
"""
STOPWORDS: Final = frozenset(_ENGLISH.split()) | frozenset(_KOREAN.split())
"""Function words of English and Korean, chosen by hand; give others where these do not fit."""


@dataclass(frozen=True)
class VocabularyOverlap:
    """Shares of vocabulary in common.

    Attributes
    ----------
    names
        Of the domains.
    shares
        (domains, domains), 0 to 1, symmetric.
    sizes
        Vocabulary of each domain, at most ``size``.
    unit, size
        What was counted, and how many at most.
    """

    names: tuple[str, ...]
    shares: NDArray[np.float64]
    sizes: tuple[int, ...]
    unit: Unit
    size: int

    def pairs(self) -> list[tuple[str, str, float]]:
        """Each two domains and their overlap, greatest first."""
        found = [
            (self.names[i], self.names[j], float(self.shares[i, j]))
            for i in range(len(self.names))
            for j in range(i + 1, len(self.names))
        ]
        return sorted(found, key=lambda pair: -pair[2])


def compare_domains(
    domains: Mapping[str, Path],
    *,
    size: int = PUBLISHED_SIZE,
    unit: Unit = "words",
    tokenizer: Any = None,
    stopwords: frozenset[str] = STOPWORDS,
    most_texts: int = MOST_TEXTS,
    say: Callable[[str], None] = print,
) -> VocabularyOverlap:
    """Read the domains and compare their vocabularies.

    Parameters
    ----------
    domains
        Text file of each; streamed, lines that are not UTF-8 are passed over.
    size
        How many of the most frequent words make a vocabulary.
    unit, tokenizer
        ``"pieces"`` counts the pieces of this transformers tokenizer.
    stopwords
        Words that are not counted; not used with pieces.
    most_texts
        A larger file is sampled (as published): about so many of its lines, evenly spread.

    Raises
    ------
    InputError
        If there are fewer than two domains, a file is missing, or one holds no words.
    """
    if len(domains) < 2:
        raise InputError(f"overlap needs two domains or more, not {len(domains)}")
    if size < 1:
        raise InputError(f"a vocabulary of {size} words cannot be compared")
    if unit == "pieces" and tokenizer is None:
        raise InputError("counting pieces needs an encoder, whose pieces they are")
    vocabularies = {}
    for name, path in domains.items():
        if not path.is_file():
            raise InputError(f"{path}: there is no such text file")
        texts = read_texts(path, most_texts)
        if unit == "pieces":
            vocabularies[name] = frequent_pieces(texts, size, tokenizer)
        else:
            vocabularies[name] = frequent_words(texts, size, stopwords=stopwords)
        if not vocabularies[name]:
            raise InputError(f"{path} holds no words: expected UTF-8, one text per line")
        say(f"{name}: {len(vocabularies[name]):,} most frequent {unit} counted")
    return overlap(vocabularies, unit=unit, size=size)


def overlap(
    vocabularies: Mapping[str, list[str]], *, unit: Unit = "words", size: int = PUBLISHED_SIZE
) -> VocabularyOverlap:
    """Overlap of vocabularies, each in order of falling frequency."""
    names = tuple(vocabularies)
    shares = np.ones((len(names), len(names)))
    for i, one in enumerate(names):
        for j, other in enumerate(names):
            common = min(len(vocabularies[one]), len(vocabularies[other]))
            both = set(vocabularies[one][:common]) & set(vocabularies[other][:common])
            shares[i, j] = len(both) / common
    sizes = tuple(len(vocabularies[name]) for name in names)
    return VocabularyOverlap(names, shares, sizes, unit, size)


def frequent_words(
    texts: Iterable[str],
    size: int,
    *,
    stopwords: frozenset[str] = STOPWORDS,
    most_counted: int = _MOST_COUNTED,
) -> list[str]:
    """The most frequent words, most frequent first; ties in alphabetical order.

    At most ``most_counted`` different words are counted at a time: beyond that the
    rarest are forgotten, as in lossy counting (Manku and Motwani 2002), so that
    memory stays bounded. This touches words of the tail only.
    """
    counts: Counter[str] = Counter()
    for text in texts:
        counts.update(word for word in _WORD.findall(text.lower()) if word not in stopwords)
        if len(counts) > most_counted:
            counts = _without_rarest(counts, most_counted // 2)
    return _most_frequent(counts, size)


def frequent_pieces(texts: Iterable[str], size: int, tokenizer: Any) -> list[str]:
    """The most frequent pieces, special tokens left out, most frequent first."""
    pieces = PieceCutter(tokenizer)
    counts = np.zeros(len(tokenizer), dtype=np.int64)
    part: list[str] = []
    for text in texts:
        part.append(text)
        if len(part) == _TEXTS_AT_ONCE:
            counts += np.bincount(pieces.cut(part), minlength=len(counts))
            part = []
    counts += np.bincount(pieces.cut(part), minlength=len(counts))
    counts[[number for number in tokenizer.all_special_ids if number < len(counts)]] = 0
    found = [int(number) for number in np.flatnonzero(counts)]
    names = tokenizer.convert_ids_to_tokens(found)
    return _most_frequent(
        Counter(dict(zip(names, (int(counts[number]) for number in found), strict=True))), size
    )


def read_texts(path: Path, most: int = MOST_TEXTS) -> Iterator[str]:
    """Texts of a file, one per line; blank lines and those that are not UTF-8 passed over.

    Of a file with more than about ``most`` lines, every second, third, … is read; their
    number is judged by the first megabyte.
    """
    with path.open("rb") as source:
        start = source.read(_START)
        lines = path.stat().st_size / max(len(start), 1) * max(start.count(b"\n"), 1)
        every = max(1, round(lines / most))
        source.seek(0)
        for number, (line, _) in enumerate(read_lines(source)):
            text = None if number % every else decode_line(line)
            if text:
                yield text


def write_overlap(found: VocabularyOverlap, folder: Path) -> list[Path]:
    """Write ``overlap-heatmap.png``, ``overlap-chart.png`` and, last, ``overlap.json``."""
    folder.mkdir(parents=True, exist_ok=True)
    paths = [folder / name for name in (REPORT, HEATMAP, CHART)]
    _draw_heatmap(found, paths[1])
    _draw_chart(found, paths[2])
    write_json(
        paths[0],
        {
            "unit": found.unit,
            "size": found.size,
            "sizes": dict(zip(found.names, found.sizes, strict=True)),
            "overlap": {
                name: dict(zip(found.names, (round(float(v), 6) for v in row), strict=True))
                for name, row in zip(found.names, found.shares, strict=True)
            },
        },
    )
    return paths


def read_overlap(folder: Path) -> VocabularyOverlap | None:
    """What :func:`write_overlap` wrote; ``None`` if there is nothing."""
    path = folder / REPORT
    if not path.is_file():
        return None
    content = json.loads(path.read_text(encoding="utf-8"))
    names = tuple(content["sizes"])
    return VocabularyOverlap(
        names=names,
        shares=np.array([[content["overlap"][one][other] for other in names] for one in names]),
        sizes=tuple(content["sizes"].values()),
        unit=content["unit"],
        size=content["size"],
    )


def _draw_heatmap(found: VocabularyOverlap, path: Path) -> None:
    from matplotlib.figure import Figure

    count = len(found.names)
    figure = Figure(figsize=(2.2 + 0.9 * count, 1.6 + 0.8 * count), layout="constrained")
    axes = figure.add_subplot()
    image = axes.imshow(100 * found.shares, cmap="Blues", vmin=0, vmax=100)
    axes.set_xticks(range(count), found.names, rotation=30, ha="right")
    axes.set_yticks(range(count), found.names)
    for i in range(count):
        for j in range(count):
            share = found.shares[i, j]
            colour = "white" if share > 0.55 else "black"
            axes.text(j, i, f"{100 * share:.1f}", ha="center", va="center", color=colour)
    axes.set_title(_title(found), fontsize=10)
    figure.colorbar(image, ax=axes, label="shared, %", shrink=0.8)
    figure.savefig(path, dpi=150)


def _draw_chart(found: VocabularyOverlap, path: Path) -> None:
    from matplotlib.figure import Figure

    pairs = found.pairs()[::-1]
    figure = Figure(figsize=(6.4, 1.2 + 0.4 * len(pairs)), layout="constrained")
    axes = figure.add_subplot()
    names = [f"{one} – {other}" for one, other, _ in pairs]
    bars = axes.barh(names, [100 * share for _, _, share in pairs], color="#3b6ea5")
    axes.bar_label(bars, fmt="%.1f", padding=3)
    axes.set_xlim(0, 105)
    axes.set_xlabel("shared, %")
    axes.set_title(_title(found), fontsize=10)
    axes.spines[["top", "right"]].set_visible(False)
    figure.savefig(path, dpi=150)


def _title(found: VocabularyOverlap) -> str:
    return f"Overlap of the {found.size:,} most frequent {found.unit}"


def _most_frequent(counts: Counter[str], size: int) -> list[str]:
    ranked = sorted(counts.items(), key=lambda entry: (-entry[1], entry[0]))
    return [word for word, _ in ranked[:size]]


def _without_rarest(counts: Counter[str], kept: int) -> Counter[str]:
    bound = sorted(counts.values(), reverse=True)[kept]
    return Counter({word: count for word, count in counts.items() if count > bound})
