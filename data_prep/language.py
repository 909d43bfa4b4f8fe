"""The language gate: Korean, English, or a reason why neither.

The script decides first. Enough Hangul makes a text Korean, whatever English it
mixes in, as pop lyrics do. Latin script is English when common English words say
so; only a longer text that they do not decide is shown to py3langid, whose model
takes a second to load. A short text in Latin script counts as English unless
something in it clearly belongs to another language. A text of nothing but
vocables ("la la la", "우우우") has no words to read.
"""

from __future__ import annotations

import re
import unicodedata
from collections import Counter
from dataclasses import dataclass
from typing import Final, Literal

SHORT_WORDS: Final = 6
"""A text in Latin script with fewer words than this counts as English in doubt."""

HANGUL_SHARE: Final = 0.10
"""Share of Hangul among the letters from which a text counts as Korean."""

ENGLISH_SHARE: Final = 0.20
"""Share of common English words from which a text counts as English."""

_SAMPLE_CHARACTERS: Final = 20_000  # more does not change the answer

NO_WORDS: Final = "no words"


@dataclass(frozen=True)
class LanguageVerdict:
    """What the gate says of a text.

    Attributes
    ----------
    language
        The language the text can be read in; ``None`` if it cannot.
    code
        ISO 639 code of what was found: also ``"zxx"`` (no words) and ``"und"``
        (not determined).
    reason
        Why the text cannot be read, for the user; ``None`` if it can.
    """

    language: Literal["ko", "en"] | None
    code: str
    reason: str | None


_IS_KOREAN: Final = LanguageVerdict("ko", "ko", None)
_IS_ENGLISH: Final = LanguageVerdict("en", "en", None)

_HANGUL: Final = re.compile(
    "[\u1100-\u11ff\u3131-\u318e\ua960-\ua97c\uac00-\ud7a3\ud7b0-\ud7fb\uffa1-\uffdc]"
)
_LATIN: Final = re.compile(
    "[A-Za-z\u00aa\u00ba\u00c0-\u00d6\u00d8-\u00f6\u00f8-\u024f\u1e00-\u1eff]"
)
_KANA: Final = re.compile("[\u3041-\u309f\u30a1-\u30fa\u30fc-\u30ff\u31f0-\u31ff\uff66-\uff9f]")
_HAN: Final = re.compile(
    "[\u3005\u3007\u3400-\u4dbf\u4e00-\u9fff\uf900-\ufaff\U00020000-\U0003134f]"
)
_KNOWN: Final = re.compile("|".join(p.pattern for p in (_HANGUL, _LATIN, _KANA, _HAN)))

_WORD: Final = re.compile(r"[^\W\d_]+(?:['’][^\W\d_]+)*")

# One syllable said again and again, or a run of them that is no word.
_KOREAN_VOCABLE: Final = re.compile(
    r"([라나우오아예에워와호야음흠뚜두다바빠따랄루룰후어으])\1*"
    r"|(?:[라랄]+라+|샤?랄+라+|룰루랄라|트랄+라+|(?:뚜루+)+뚜*|(?:두비)+두?밥?|오+예+|우+워+|"
    r"워+어+|예+이+예*|에+이+오+|와+우+|나나나+나|야+호+|빠+라+빠*|따+라+|짠짠*|헤이|아+하+|으+음+|어+허+)+"
)
_ENGLISH_VOCABLE: Final = re.compile(
    r"(?:la+h*|lalala|na+h*|o+h+|ooh*|o+o+|a+h+|m+h*m*|hm+|u+h+|da+h*|do+|du+m*|dum|ba+h*|ba+m|"
    r"sha+|tra|wo+|wo+a*h+|who+a+h*|ho+o*|hey+a?h?|ye+a+h*|yea+|ya+h*|ye+h+|e+h+|a+y+e*|de+|di+|"
    r"doo+|boo*p|shoo*p|fa+|ra+h*|pa+|ro+m|woo+h*|oi+|he+y+)+"
)

_LONE_VOCABLE: Final = re.compile(r"(?:la|na|da|ba|doo|sha|du){2,}h*|(?:ooh){2,}|o{3,}h*|a{3,}h*")
_EXCLAMATION: Final = re.compile(r"오+예+|와+우*|야+호*|아하+|어허+|으음+|헤이|아싸")

# Common English words, none of which is common in another language of this script.
_ENGLISH: Final = """
the and you your you're you've you'll you'd i'm i've i'll i'd it's that's don't can't won't
isn't ain't didn't doesn't couldn't wouldn't let's there's they're we're im ive dont cant its
my mine myself with this that these those what when where why who how which there here they
them their he's she she's her him his not but because cause before after again never ever
always just like know think feel feels feeling felt want wants wanna gonna gotta kinda need
make made take give say said tell told come came go goes going gone get gets got getting
have having has had been being were are would could should will must can might do does did
love loves loved loving hate heart baby girl boy night nights day days today tonight
tomorrow time life world way home away down out up off over under through into from about
around without some something someone nothing everything every everybody all only one two
too so very really much more little big good better best bad right wrong new old first last
look see saw hear listen hold keep let leave left find found lost run walk dance sing song
music eyes hand hands face mind soul dream dreams light dark fire rain sun sky
happy sad angry mad tired lonely alone bored scared afraid worried anxious calm peaceful
excited upset crying cry tears smile laugh hurts hurt pain broken miss missing friend friends
then than if or by at of for to in on is it we us our ours be am was as an i me he a
"""
_ENGLISH_WORDS: Final = frozenset(_ENGLISH.split())
# Those of them that other languages use too count only half.
_SHARED: Final = """
then than if or by at of for to in on is it we us our be am was as an i me he a so do had
can all must man her his him over under die will bad best first see saw big go has day one
days mine mad come sing name time
"""
_SHARED_WORDS: Final = frozenset(_SHARED.split())

# Words that tell another language even in a short text, and letters English lacks.
_FOREIGN: Final = {
    "fr": "je tu elle nous vous ils suis sont tes une dans avec qui que c'est j'ai t'aime t'es "
    "n'est j'suis très trop aujourd'hui triste heureux heureuse amour bonjour ça pas les",
    "es": "ella gusta muy mucho estoy estás está eres soy tus pero porque cuando donde como siento "
    "quiero hoy noche corazón amor feliz triste gracias para por una que",
    "pt": "eu você não muito estou uma meu minha hoje saudade coração obrigado triste feliz amor "
    "que para por",
    "de": "ich du sie wir ihr ist sind und nicht ein eine einen mein meine dein für auf auch sehr "
    "heute traurig glücklich liebe",
    "nl": "ik jij niet het een mijn verdrietig heb vandaag",
    "it": "io sono siamo gli una che molto oggi felice cuore amore triste perché",
    "sv": "jag är och inte",
    "no": "jeg ikke er og",
    "pl": "jestem nie się jest bardzo",
    "tr": "çok bugün değil seni",
    "id": "aku kamu tidak saya sedih",
    "vi": "tôi không rất anh em",
}
_FOREIGN_WORDS: Final = {code: frozenset(words.split()) for code, words in _FOREIGN.items()}
_FOREIGN_LETTERS: Final = re.compile("[ßñ¿¡œåøæąćęłńśźżčďěňřšťžőűğışțșăđơưþð\u1ea0-\u1ef9]")

_NAMES: Final = {
    "af": "Afrikaans",
    "ca": "Catalan",
    "cs": "Czech",
    "cy": "Welsh",
    "da": "Danish",
    "de": "German",
    "es": "Spanish",
    "et": "Estonian",
    "eu": "Basque",
    "fi": "Finnish",
    "fr": "French",
    "ga": "Irish",
    "gl": "Galician",
    "hr": "Croatian",
    "hu": "Hungarian",
    "id": "Indonesian",
    "is": "Icelandic",
    "it": "Italian",
    "la": "Latin",
    "lt": "Lithuanian",
    "lv": "Latvian",
    "ms": "Malay",
    "nb": "Norwegian",
    "nl": "Dutch",
    "nn": "Norwegian",
    "no": "Norwegian",
    "pl": "Polish",
    "pt": "Portuguese",
    "ro": "Romanian",
    "sk": "Slovak",
    "sl": "Slovenian",
    "sq": "Albanian",
    "sv": "Swedish",
    "sw": "Swahili",
    "tl": "Tagalog",
    "tr": "Turkish",
    "vi": "Vietnamese",
}


def detect_language(text: str) -> LanguageVerdict:
    """Whether a text can be read as Korean or as English, and if not, why.

    Parameters
    ----------
    text
        Lyrics or a mood, cleaned or not; of a long text the first 20,000
        characters decide.
    """
    text = unicodedata.normalize("NFC", text[:_SAMPLE_CHARACTERS])
    hangul, latin, kana, han = (
        len(script.findall(text)) for script in (_HANGUL, _LATIN, _KANA, _HAN)
    )
    others = Counter(_script(c) for c in _KNOWN.sub("", text) if c.isalpha())
    n_letters = hangul + latin + kana + han + others.total()
    if n_letters == 0:
        return LanguageVerdict(None, "zxx", NO_WORDS)

    counts = Counter({"Latin": latin, "Han": han + kana, **others})
    if hangul >= HANGUL_SHARE * n_letters and hangul >= max(n_letters - hangul - latin, 1):
        counts = Counter({"Hangul": hangul})
    script = counts.most_common(1)[0][0]
    if script == "Hangul":
        return _no_words("우우") if _only_vocables(text) else _IS_KOREAN
    if script == "Latin":
        return _latin(text)
    if script == "Han" and kana > 0.1 * (han + kana):
        return _unread("ja", "Japanese script (kana)")
    if script == "Han":
        return _unread("zh", "Chinese characters (Han script)")
    return _unread("und", f"{script} script")


def _latin(text: str) -> LanguageVerdict:
    if _only_vocables(text):
        return _no_words("la la")
    words = [word.lower().replace("’", "'") for word in _WORD.findall(text)]
    words = [word for word in words if not _ENGLISH_VOCABLE.fullmatch(word)]
    foreign = Counter({code: sum(w in own for w in words) for code, own in _FOREIGN_WORDS.items()})
    (likely, n_foreign), *_ = foreign.most_common(1)
    letters = sum(bool(_FOREIGN_LETTERS.search(word)) for word in words)
    english = sum(0.5 if word in _SHARED_WORDS else word in _ENGLISH_WORDS for word in words)
    if len(words) < SHORT_WORDS:
        if max(n_foreign, letters) <= english:
            return _IS_ENGLISH
        if n_foreign:
            return _unread(likely, f"{_NAMES[likely]} words")
    elif english >= max(ENGLISH_SHARE * len(words), 2 * n_foreign):
        return _IS_ENGLISH
    code = _guess(words)
    doubtful = not n_foreign and not letters and english >= ENGLISH_SHARE / 2 * len(words)
    if code == "en" or doubtful:
        return _IS_ENGLISH
    if code not in _NAMES:
        return _unread("und", "an unknown language in Latin script")
    return _unread(code, f"{_NAMES[code]} words")


def _guess(words: list[str]) -> str:
    """Language code by py3langid, loaded here because it takes a second and is seldom needed."""
    import py3langid

    return str(py3langid.classify(" ".join(words))[0])


def load_identifier() -> None:
    """Load what is seldom needed and takes a second and some 90 MB, to have it there."""
    _guess(["a"])


def _only_vocables(text: str) -> bool:
    """Whether at least nine of ten words are vocables, more than one syllable in all."""
    words = [word.lower() for word in _WORD.findall(text)]
    vocables = [
        word
        for word in words
        if _KOREAN_VOCABLE.fullmatch(word) or _ENGLISH_VOCABLE.fullmatch(word)
    ]
    if len(words) == 1 and words[0].isascii():  # "hey", "woohoo" alone may be a mood
        return bool(_LONE_VOCABLE.fullmatch(words[0]))
    if len(words) == 1 and _EXCLAMATION.fullmatch(words[0]):
        return False
    enough = len(words) > 1 or (len(words) == 1 and len(words[0]) > 1)
    return enough and len(vocables) >= 0.9 * len(words)


def _no_words(example: str) -> LanguageVerdict:
    return LanguageVerdict(None, "zxx", f"{NO_WORDS}, only syllables such as {example!r}")


def _unread(code: str, found: str) -> LanguageVerdict:
    return LanguageVerdict(None, code, f"{found}: only Korean and English are read")


def _script(character: str) -> str:
    """Script of a letter, from the first word of its Unicode name: ``"Cyrillic"``."""
    return unicodedata.name(character, "UNKNOWN").partition(" ")[0].capitalize()
