"""AI-Hub 한국어 감정 정보가 포함된 단발성 대화: Korean sentences, one of seven emotions each.

A user's own copy is read, wherever it lies; the set may not be redistributed and no
part of it is in this project. Format: .xlsx with the columns ``Sentence`` and
``Emotion`` (공포 놀람 분노 슬픔 중립 행복 혐오), 38,594 rows. Some labels were
mistyped (ㅈ립 for 중립); what could be mended and what not is reported. The set has
no split of its own.
"""

from __future__ import annotations

from pathlib import Path
from typing import Final

from data_prep.label_cleaning import LabelReport, LabelTally, clean_label
from data_prep.readers import xlsx
from data_prep.readers.labelled_files import RowMaker, files_of, has_words, read_each
from data_prep.readers.row import TextRow

LABEL_SET: Final = "aihub_single_7"
CITATION: Final = "한국어 감정 정보가 포함된 단발성 대화 데이터셋, AI-Hub (한국지능정보사회진흥원)"
LICENCE: Final = "AI-Hub terms of use: no redistribution"
SOURCE_URL: Final = "https://www.aihub.or.kr/aihubdata/data/view.do?dataSetSn=270"


def read(path: Path) -> tuple[list[TextRow], LabelReport]:
    """Rows of one file, or of every .xlsx file below a folder, in order.

    Parameters
    ----------
    path
        The file or folder.

    Returns
    -------
    Rows, whose id is the file's name and the row's number; rows of the same text
    share a group. And what was mended and left out.

    Raises
    ------
    MissingDataError
        If there is no such file, or no .xlsx file below the folder.
    InputError
        If no file has the format.
    MissingExtraError
        If openpyxl is not installed.
    """
    tally = LabelTally(LABEL_SET)
    maker = RowMaker(tally)
    files = files_of(path, (".xlsx",), SOURCE_URL)
    read_files = read_each(files, tally, lambda file: _read_file(file, maker))
    return maker.rows, tally.report(read_files)


def _read_file(path: Path, maker: RowMaker) -> None:
    for number, cells in xlsx.records(path, ("Sentence", "Emotion")):
        where = f"{path.name} row {number}"
        sentence, value = cells["Sentence"], cells["Emotion"]
        if xlsx.is_error_value(sentence) or xlsx.is_error_value(value):
            maker.tally.malformed("a formula that failed", where)
            continue
        label = clean_label(value, LABEL_SET).label
        if label is None:
            maker.tally.leave_out(value, where)
        elif not has_words(sentence):
            maker.tally.empty_text(where)
        else:
            maker.add(path, number, [sentence], value, label, where)
