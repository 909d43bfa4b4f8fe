"""AI-Hub 감성 대화 말뭉치: Korean dialogues, one of 60 emotions each.

A user's own copy is read, wherever it lies; the set may not be redistributed and no
part of it is in this project. Published in two formats, for training and validation:

- .xlsx: ``번호, 연령, 성별, 상황키워드, 신체질환, 감정_대분류, 감정_소분류, 사람문장1,
  시스템응답1, … 사람문장4, 시스템응답4``. The label is 감정_소분류; two of them, 고립된
  and 혼란스러운, also stand below 당황, and are labels of their own there.
- .json: a list of dialogues, ``profile.emotion.type`` with the label's code E10 to
  E69 and ``talk.content`` with the sentences ``HS01, SS01, HS02, …``.

The label is that of the person, whose sentences alone are read; the answers of the
system are not. Where a folder holds the same file in both formats, the .xlsx is read,
which has up to four sentences of the person instead of three.
"""

from __future__ import annotations

import json
import re
import unicodedata
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final, Literal, get_args

from data_prep.errors import InputError
from data_prep.label_cleaning import LabelReport, LabelTally, clean_label
from data_prep.readers import xlsx
from data_prep.readers.labelled_files import RowMaker, files_of, has_words, read_each
from data_prep.readers.row import TextRow

LABEL_SET: Final = "aihub_dialogue_60"
CITATION: Final = "감성 대화 말뭉치, AI-Hub (한국지능정보사회진흥원)"
LICENCE: Final = "AI-Hub terms of use: no redistribution"
SOURCE_URL: Final = "https://www.aihub.or.kr/aihubdata/data/view.do?dataSetSn=86"

Unit = Literal["dialogue", "sentence"]

_GROUPS: Final = (
    "분노 툴툴대는 좌절한 짜증내는 방어적인 악의적인 안달하는 구역질_나는 노여워하는 성가신",
    "슬픔 실망한 비통한 후회되는 우울한 마비된 염세적인 눈물이_나는 낙담한 환멸을_느끼는",
    "불안 두려운 스트레스_받는 취약한 혼란스러운 당혹스러운 회의적인 걱정스러운 조심스러운 초조한",
    "상처 질투하는 배신당한 고립된 충격_받은 가난한,_불우한 희생된 억울한 괴로워하는 버려진",
    "당황 고립된(당황한) 남의_시선을_의식하는 외로운 열등감 죄책감의 부끄러운 혐오스러운 한심한 "
    "혼란스러운(당황한)",
    "기쁨 감사하는 신뢰하는 편안한 만족스러운 흥분 느긋 안도 신이_난 자신하는",
)

LABEL_OF_CODE: Final[Mapping[str, str]] = {
    f"E{tens}{units}": label.replace("_", " ")
    for tens, group in enumerate(_GROUPS, start=1)
    for units, label in enumerate(group.split())
}
"""Code E10 to E69 → label; the codes whose number ends in 0 name the six main classes."""

_COLUMNS: Final = tuple(f"사람문장{number}" for number in range(1, 5))
_MAIN, _FINE = "감정_대분류", "감정_소분류"
_BELOW_EMBARRASSMENT: Final = {
    "고립된": "고립된(당황한)",
    "혼란스러운": "혼란스러운(당황한)",
}
_PERSONS_SENTENCE: Final = re.compile(r"HS\d+", re.IGNORECASE)


def read(path: Path, *, unit: Unit = "dialogue") -> tuple[list[TextRow], LabelReport]:
    """Rows of one file, or of every .xlsx and .json file below a folder, in order.

    Parameters
    ----------
    path
        The file or folder.
    unit
        ``"dialogue"``: the person's sentences joined to one text. ``"sentence"``:
        each sentence a row, as the published studies have it; all have the label
        of the dialogue, although not every one shows it.

    Returns
    -------
    Rows, whose id is the file's name and the dialogue's number (and that of the
    sentence); rows of one dialogue, or of equal dialogues, share a group. And what
    was mended and left out, which counts dialogues whatever the unit.

    Raises
    ------
    MissingDataError
        If there is no such file, or nothing to read below the folder.
    InputError
        If no file has the format, or the unit is unknown.
    MissingExtraError
        If openpyxl is not installed and there is an .xlsx file.
    """
    if unit not in get_args(Unit):
        raise InputError(f"unknown unit {unit!r}: expected {' or '.join(get_args(Unit))}")
    tally = LabelTally(LABEL_SET)
    maker = RowMaker(tally)
    files = _without_second_format(files_of(path, (".xlsx", ".json"), SOURCE_URL), tally)
    read_files = read_each(files, tally, lambda file: _read_file(file, maker, unit))
    return maker.rows, tally.report(read_files)


def _without_second_format(files: list[Path], tally: LabelTally) -> list[Path]:
    tables = {_stem(file) for file in files if file.suffix.lower() == ".xlsx"}
    kept: list[Path] = []
    for file in files:
        if file.suffix.lower() == ".json" and _stem(file) in tables:
            tally.remark(f"{file.name} not read: {file.stem}.xlsx has the same dialogues")
        else:
            kept.append(file)
    return kept


def _stem(file: Path) -> str:
    return unicodedata.normalize("NFC", file.stem)


def _read_file(path: Path, maker: RowMaker, unit: Unit) -> None:
    if path.suffix.lower() == ".json":
        _read_json(path, maker, unit)
    else:
        _read_table(path, maker, unit)


def _read_table(path: Path, maker: RowMaker, unit: Unit) -> None:
    for number, cells in xlsx.records(path, (_FINE, _COLUMNS[0]), (_MAIN, *_COLUMNS[1:])):
        where = f"{path.name} row {number}"
        if any(xlsx.is_error_value(cell) for cell in cells.values()):
            maker.tally.malformed("a formula that failed", where)
            continue
        value = cells[_FINE]
        label = clean_label(value, LABEL_SET).label
        main = clean_label(cells[_MAIN], LABEL_SET).label
        if label is not None and main == "당황":
            label = _BELOW_EMBARRASSMENT.get(label, label)
        _add(maker, path, number, unit, value, label, [cells[c] for c in _COLUMNS], where)


def _read_json(path: Path, maker: RowMaker, unit: Unit) -> None:
    try:
        dialogues = json.loads(path.read_text(encoding="utf-8-sig"))
    except (OSError, ValueError, RecursionError) as error:
        raise InputError(
            f"{path} is not a readable .json file: {error}; download it again"
        ) from error
    if not isinstance(dialogues, list):
        raise InputError(
            f"{path}: expected a list of dialogues, got {type(dialogues).__name__}: "
            "give the file that AI-Hub publishes"
        )
    if not any(_code(dialogue) is not None for dialogue in dialogues):
        raise InputError(
            f"{path}: none of its {len(dialogues):,} entries has profile.emotion.type: "
            "expected the dialogues of 감성 대화 말뭉치"
        )
    for number, dialogue in enumerate(dialogues, start=1):
        where = f"{path.name} entry {number}"
        code, sentences = _code(dialogue), _sentences(dialogue)
        if code is None:
            maker.tally.malformed("no profile.emotion.type", where)
        elif sentences is None:
            maker.tally.malformed("no talk.content of sentences", where)
        else:
            plain = code.strip().upper()
            label = LABEL_OF_CODE.get(plain)
            value = label if label is not None and plain == code else code
            _add(maker, path, number, unit, value, label, sentences, where)


def _code(dialogue: Any) -> str | None:
    code = _below(dialogue, "profile", "emotion", "type")
    return code if isinstance(code, str) else None


def _sentences(dialogue: Any) -> list[str] | None:
    """The person's sentences in order; ``None`` if there is no content of texts."""
    content = _below(dialogue, "talk", "content")
    if not isinstance(content, dict):
        return None
    own = {key: text for key, text in content.items() if _PERSONS_SENTENCE.fullmatch(key)}
    if not all(text is None or isinstance(text, str) for text in own.values()):
        return None
    return [own[key] or "" for key in sorted(own, key=lambda key: int(key[2:]))]


def _below(value: Any, *keys: str) -> Any:
    for key in keys:
        value = value.get(key) if isinstance(value, dict) else None
    return value


def _add(
    maker: RowMaker,
    path: Path,
    number: int,
    unit: Unit,
    value: str,
    label: str | None,
    sentences: list[str],
    where: str,
) -> None:
    spoken = [sentence.strip() for sentence in sentences if has_words(sentence)]
    if label is None:
        maker.tally.leave_out(value, where)
    elif not spoken:
        maker.tally.empty_text(where)
    else:
        texts = [" ".join(spoken)] if unit == "dialogue" else spoken
        maker.add(path, number, texts, value, label, where)
