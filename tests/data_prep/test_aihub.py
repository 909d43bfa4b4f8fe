"""AI-Hub's files may not be redistributed: these tests make up files in their layout."""

import json
import sys
import zipfile
from pathlib import Path
from typing import Any

import numpy as np
import openpyxl
import pytest

from data_prep.errors import InputError, MissingDataError, MissingExtraError
from data_prep.label_cleaning import clean_label, edit_distance, jamo
from data_prep.readers import aihub_dialogue, aihub_single
from data_prep.readers.aihub_dialogue import LABEL_OF_CODE
from data_prep.readers.row import TextRow
from data_prep.taxonomy import EMOTIONS_KO, native_label_set

HEADER = (
    *("번호", "연령", "성별", "상황키워드", "신체질환", "감정_대분류", "감정_소분류"),
    *(f"{who}{number}" for number in range(1, 5) for who in ("사람문장", "시스템응답")),
)

# The published map from the fine labels of 감정_소분류 to six emotions.
PUBLISHED = {
    "슬픔": "가난한,_불우한 걱정스러운 고립된 괴로워하는 낙담한 눈물이_나는 마비된 버려진 "
    "부끄러운 비통한 상처 슬픔 실망한 억울한 염세적인 외로운 우울한 좌절한 죄책감의 충격_받은 "
    "한심한 회의적인 후회되는 희생된",
    "분노": "구역질_나는 노여워하는 방어적인 배신당한 분노 성가신 악의적인 열등감 질투하는 "
    "짜증내는 툴툴대는 혐오스러운 환멸을_느끼는",
    "긴장": "남의_시선을_의식하는 당혹스러운 당황 두려운 불안 스트레스_받는 안달하는 조심스러운 "
    "초조한 취약한 혼란스러운",
    "기쁨": "감사하는 기쁨 만족스러운 신뢰하는 신이_난 자신하는 흥분",
    "평화": "느긋 안도 편안한",
}


def table_row(main: str, fine: str, *sentences: str) -> list[str]:
    cells = ["1", "청년", "여성", "연애", "해당없음", main, fine]
    for number in range(4):
        cells += [sentences[number], "그랬군요."] if number < len(sentences) else ["", ""]
    return cells


def save_table(path: Path, *rows: list[Any], header: tuple[str, ...] = HEADER) -> Path:
    workbook = openpyxl.Workbook()
    sheet = workbook.active
    sheet.append(list(header))
    for row in rows:
        sheet.append(row)
    workbook.save(path)
    return path


def dialogue(code: Any, **content: Any) -> dict[str, Any]:
    return {
        "profile": {
            "persona-id": "Pro_1",
            "persona": {"human": ["A02", "G02"], "computer": ["C01"]},
            "emotion": {"emotion-id": f"S06_D02_{code}", "type": code, "situation": ["S06"]},
        },
        "talk": {"id": {"profile-id": "Pro_1", "talk-id": "Pro_1_1"}, "content": content},
    }


def save_json(path: Path, *dialogues: Any) -> Path:
    path.write_text(json.dumps(list(dialogues), ensure_ascii=False), encoding="utf-8")
    return path


def label(row: TextRow, label_set: str) -> str:
    assert row.shares.sum() == 1
    return native_label_set(label_set).labels[int(row.shares.argmax())]


def save_single(path: Path, *rows: tuple[Any, Any]) -> Path:
    return save_table(path, *(list(row) for row in rows), header=("Sentence", "Emotion"))


# The taxonomy


def test_fine_labels_project_onto_six_as_published() -> None:
    fine_labels = native_label_set("aihub_dialogue_60")
    assert len(fine_labels.labels) == 60
    projected = {
        fine: EMOTIONS_KO[int(row.argmax())]
        for fine, row in zip(fine_labels.labels, fine_labels.projection(), strict=True)
    }
    published = {
        fine.replace("_", " "): six for six, group in PUBLISHED.items() for fine in group.split()
    }
    # Labels that stand below two main classes follow their namesake.
    published["고립된(당황한)"] = published["고립된"]
    published["혼란스러운(당황한)"] = published["혼란스러운"]
    assert projected == published
    np.testing.assert_array_equal(fine_labels.projection().sum(axis=1), 1)


def test_codes_are_the_sixty_labels() -> None:
    assert list(LABEL_OF_CODE) == [f"E{number}" for number in range(10, 70)]
    assert set(LABEL_OF_CODE.values()) == set(native_label_set("aihub_dialogue_60").labels)
    some = {code: LABEL_OF_CODE[code] for code in ("E17", "E29", "E45", "E52", "E59", "E68")}
    assert some == {
        "E17": "구역질 나는",
        "E29": "환멸을 느끼는",
        "E45": "가난한, 불우한",
        "E52": "남의 시선을 의식하는",
        "E59": "혼란스러운(당황한)",
        "E68": "신이 난",
    }


def test_seven_labels_project_onto_six_as_published() -> None:
    seven = native_label_set("aihub_single_7")
    top = [EMOTIONS_KO[int(row.argmax())] for row in seven.projection()]
    assert dict(zip(seven.labels, top, strict=True)) == {
        "공포": "긴장",
        "놀람": "긴장",
        "혐오": "분노",
        "행복": "기쁨",
        "분노": "분노",
        "슬픔": "슬픔",
        "중립": "중립",
    }


# Labels as typed


def test_syllables_come_apart_into_keyboard_letters() -> None:
    assert jamo("중립") == "ㅈㅜㅇㄹㅣㅂ"
    assert jamo("ㅈ립 값a") == "ㅈㄹㅣㅂ ㄱㅏㅄa"


@pytest.mark.parametrize(
    ("a", "b", "distance"),
    [("", "", 0), ("", "abc", 3), ("kitten", "sitting", 3), ("ab", "ba", 2)],
)
def test_edit_distance(a: str, b: str, distance: int) -> None:
    assert edit_distance(a, b) == edit_distance(b, a) == distance


@pytest.mark.parametrize(
    ("value", "label_set", "expected"),
    [
        ("ㅈ립", "aihub_single_7", "중립"),
        ("중림", "aihub_single_7", "중립"),
        (" 중 립", "aihub_single_7", "중립"),
        ("슬픔.", "aihub_single_7", "슬픔"),
        ("행봌", "aihub_single_7", "행복"),
        ("분ㄴ", "aihub_single_7", "분노"),
        ("불안 ", "aihub_dialogue_60", "불안"),
        ("눈물이나는", "aihub_dialogue_60", "눈물이 나는"),
        ("가난한/불우한", "aihub_dialogue_60", "가난한, 불우한"),
        ("혼란스러운 (당황한)", "aihub_dialogue_60", "혼란스러운(당황한)"),
        ("고립됀", "aihub_dialogue_60", "고립된"),
        ("남의 시선을 의식하눈", "aihub_dialogue_60", "남의 시선을 의식하는"),
    ],
)
def test_typing_errors_are_mended(value: str, label_set: str, expected: str) -> None:
    cleaned = clean_label(value, label_set)
    assert (cleaned.label, cleaned.outcome) == (expected, "mended")


@pytest.mark.parametrize(
    ("value", "label_set", "outcome"),
    [
        ("", "aihub_single_7", "unknown"),
        ("?", "aihub_single_7", "unknown"),
        ("ㅈ", "aihub_single_7", "unknown"),
        ("기쁨", "aihub_single_7", "unknown"),
        ("평온", "aihub_single_7", "unknown"),
        ("슬픔, 분노", "aihub_single_7", "unknown"),
        ("행복", "aihub_dialogue_60", "unknown"),
        ("불만", "aihub_dialogue_60", "unknown"),  # one letter from 불안, but a word
        ("E70", "aihub_dialogue_60", "unknown"),
        ("어굴한", "aihub_dialogue_60", "mended"),  # 억울한: 1, 우울한: 2
        ("오울한", "aihub_dialogue_60", "mended"),  # 우울한: 1
        ("울한", "aihub_dialogue_60", "ambiguous"),  # 억울한, 우울한: 2 each
    ],
)
def test_what_is_not_near_one_label_alone_is_not_guessed(
    value: str, label_set: str, outcome: str
) -> None:
    cleaned = clean_label(value, label_set)
    assert cleaned.outcome == outcome
    assert (cleaned.label is None) == (outcome != "mended")


@pytest.mark.parametrize("label_set", ["aihub_dialogue_60", "aihub_single_7"])
def test_every_label_is_itself_and_survives_any_one_slip(label_set: str) -> None:
    for own in native_label_set(label_set).labels:
        assert clean_label(own, label_set).outcome == "as it is"
        letters = jamo(own)
        for place in range(len(letters)):
            slip = letters[:place] + "ㆍ" + letters[place + 1 :]
            assert clean_label(slip, label_set).label in (own, None), slip


# 단발성 대화


def test_single_sentences(tmp_path: Path) -> None:
    path = save_single(
        tmp_path / "단발성.xlsx",
        ("오늘 날씨가 참 좋아", "행복"),
        ("그냥 그래요", "ㅈ립"),
        ("무서운 꿈을 꿨어", "공포 "),
        ("알 수 없는 줄", "평온"),
        ("모르는 표시", None),
        (None, "분노"),
        ("...", "분노"),
        ("그냥 그래요", "중립"),
        (None, None),
        (2024, "놀람"),
    )
    rows, report = aihub_single.read(path)
    assert [(row.text, label(row, "aihub_single_7")) for row in rows] == [
        ("오늘 날씨가 참 좋아", "행복"),
        ("그냥 그래요", "중립"),
        ("무서운 꿈을 꿨어", "공포"),
        ("그냥 그래요", "중립"),
        ("2024", "놀람"),
    ]
    assert [row.id for row in rows][:2] == ["단발성-000002", "단발성-000003"]
    assert len({row.id for row in rows}) == 5
    assert rows[1].group == rows[3].group == rows[1].id
    assert rows[0].group == rows[0].id
    assert {row.language for row in rows} == {"ko"}

    assert report.n_read == 9
    assert report.n_used == 5
    assert report.n_as_they_are == 3
    assert {key: found.count for key, found in report.mended.items()} == {
        ("ㅈ립", "중립"): 1,
        ("공포 ", "공포"): 1,
    }
    assert {key: found.first for key, found in report.left_out.items()} == {
        "평온": ("단발성.xlsx row 5",),
        "": ("단발성.xlsx row 6",),
    }
    assert report.empty_texts.count == 2
    assert report.empty_texts.first == ("단발성.xlsx row 7", "단발성.xlsx row 8")
    assert report.repeated.count == 1
    assert report.rows_per_label["중립"] == 2
    assert report.empty_classes == ("혐오", "분노", "슬픔")
    for said in ("'ㅈ립' -> '중립'", "'평온'", "row 5", "혐오, 분노, 슬픔", "5 of 9 rows used"):
        assert said in str(report)


def test_first_rows_of_a_frequent_finding(tmp_path: Path) -> None:
    rows = [(f"문장 {number}", "평온") for number in range(20)]
    path = save_single(tmp_path / "a.xlsx", ("좋다", "행복"), *rows)
    _, report = aihub_single.read(path)
    found = report.left_out["평온"]
    assert found.count == 20
    assert found.first == tuple(f"a.xlsx row {number}" for number in range(3, 8))


def test_notes_beside_the_table_and_a_title_above_it_do_not_matter(tmp_path: Path) -> None:
    workbook = openpyxl.Workbook()
    workbook.active.append(["안내"])
    sheet = workbook.create_sheet("data")
    sheet.append(["한국어 단발성 대화"])
    sheet.append([" sentence", "EMOTION", None, "공포", 5468])
    sheet.append(["좋다", "행복", None, "놀람", 5898])
    workbook.save(tmp_path / "a.xlsx")
    rows, report = aihub_single.read(tmp_path / "a.xlsx")
    assert [(row.text, row.id) for row in rows] == [("좋다", "a-000003")]
    assert report.n_read == 1


def test_formulas_that_failed_are_malformed(tmp_path: Path) -> None:
    path = save_single(tmp_path / "a.xlsx", ("#REF!", "행복"), ("좋다", "행복"))
    rows, report = aihub_single.read(path)
    assert [row.text for row in rows] == ["좋다"]
    assert report.malformed["a formula that failed"].first == ("a.xlsx row 2",)


# 감성 대화 말뭉치


def test_dialogues_of_a_table(tmp_path: Path) -> None:
    path = save_table(
        tmp_path / "감성대화말뭉치(최종데이터)_Training.xlsx",
        table_row("불안 ", "걱정스러운", "잠이 안 와.", "내일이 걱정돼.", "그래도 힘내야지."),
        table_row("상처", "고립된", "아무도 연락을 안 해."),
        table_row("당황", "고립된", "나만 몰랐어.", "", "부끄러웠어.", "집에 갈래."),
        table_row("기쁨", "신이난", "드디어 합격했어!"),
        table_row("기쁨", "행복", "좋은 하루야."),
        table_row("슬픔", "우울한", ""),
    )
    rows, report = aihub_dialogue.read(path)
    assert [(row.text, label(row, "aihub_dialogue_60")) for row in rows] == [
        ("잠이 안 와. 내일이 걱정돼. 그래도 힘내야지.", "걱정스러운"),
        ("아무도 연락을 안 해.", "고립된"),
        ("나만 몰랐어. 부끄러웠어. 집에 갈래.", "고립된(당황한)"),
        ("드디어 합격했어!", "신이 난"),
    ]
    assert report.n_read == 6
    assert report.n_as_they_are == 2
    assert set(report.mended) == {("고립된", "고립된(당황한)"), ("신이난", "신이 난")}
    assert list(report.left_out) == ["행복"]
    assert report.empty_texts.count == 1
    assert len(report.empty_classes) == 56


def test_one_row_per_sentence_keeps_the_dialogue_together(tmp_path: Path) -> None:
    path = save_table(
        tmp_path / "a.xlsx",
        table_row("기쁨", "안도", "끝났다.", "이제 쉬자."),
        table_row("기쁨", "안도", "휴."),
    )
    rows, report = aihub_dialogue.read(path, unit="sentence")
    assert [(row.id, row.text, row.group) for row in rows] == [
        ("a-000002-1", "끝났다.", "a-000002"),
        ("a-000002-2", "이제 쉬자.", "a-000002"),
        ("a-000003", "휴.", "a-000003"),
    ]
    assert report.n_read == 2


def test_dialogues_of_json(tmp_path: Path) -> None:
    path = save_json(
        tmp_path / "Validation.json",
        dialogue("E18", SS01="왜요?", HS02="너무해.", HS01="화가 나.", SS02="음.", HS03=""),
        dialogue("E59", HS01="뭐가 뭔지."),
        dialogue(" e66", HS01="천천히 하자."),
        dialogue("E70", HS01="없는 감정."),
        dialogue("E20", SS01="사람은 말이 없다."),
        dialogue("E20", HS01=5),
        dialogue(None, HS01="감정이 없다."),
        "not a dialogue",
    )
    rows, report = aihub_dialogue.read(path)
    assert [(row.id, row.text, label(row, "aihub_dialogue_60")) for row in rows] == [
        ("Validation-000001", "화가 나. 너무해.", "노여워하는"),
        ("Validation-000002", "뭐가 뭔지.", "혼란스러운(당황한)"),
        ("Validation-000003", "천천히 하자.", "느긋"),
    ]
    assert report.n_read == 8
    assert report.n_as_they_are == 2
    assert list(report.mended) == [(" e66", "느긋")]
    assert report.left_out["E70"].first == ("Validation.json entry 4",)
    assert report.empty_texts.first == ("Validation.json entry 5",)
    assert {problem: found.first for problem, found in report.malformed.items()} == {
        "no profile.emotion.type": ("Validation.json entry 7", "Validation.json entry 8"),
        "no talk.content of sentences": ("Validation.json entry 6",),
    }


def test_both_formats_give_the_same_label(tmp_path: Path) -> None:
    mains = ("분노", "슬픔", "불안", "상처", "당황", "기쁨")
    table = save_table(
        tmp_path / "a.xlsx",
        *(
            table_row(mains[int(code[1]) - 1], fine, f"{number}번째 말")
            for number, (code, fine) in enumerate(LABEL_OF_CODE.items())
        ),
    )
    listed = save_json(
        tmp_path / "b.json",
        *(dialogue(code, HS01=f"{number}번째 말") for number, code in enumerate(LABEL_OF_CODE)),
    )
    of_table, table_report = aihub_dialogue.read(table)
    of_json, json_report = aihub_dialogue.read(listed)
    assert len(of_table) == len(of_json) == 60
    for one, other in zip(of_table, of_json, strict=True):
        assert one.text == other.text
        np.testing.assert_array_equal(one.shares, other.shares)
    for report in (table_report, json_report):
        assert (report.n_as_they_are, report.empty_classes) == (60, ())


# Folders and files that cannot be read


def test_a_folder_is_read_whole_and_no_dialogue_twice(tmp_path: Path) -> None:
    training, validation = tmp_path / "Training" / "원천", tmp_path / "Validation"
    labels = tmp_path / "Training" / "라벨"
    for folder in (training, validation, labels):
        folder.mkdir(parents=True)
    save_table(training / "말_Training.xlsx", table_row("슬픔", "우울한", "비가 온다."))
    save_json(labels / "말_Training.json", dialogue("E24", HS01="비가 온다."))
    save_json(validation / "말_Validation.json", dialogue("E24", HS01="눈이 온다."))
    (training / "~$말_Training.xlsx").write_bytes(b"lock")
    (training / "readme.txt").write_text("x")
    rows, report = aihub_dialogue.read(tmp_path)
    assert [row.id for row in rows] == ["말_Training-000002", "말_Validation-000001"]
    assert report.files == ("말_Training.xlsx", "말_Validation.json")
    assert len(report.remarks) == 1
    assert "말_Training.json" in str(report)


def test_files_of_one_name_give_different_ids(tmp_path: Path) -> None:
    for folder in ("a", "b"):
        (tmp_path / folder).mkdir()
        save_single(tmp_path / folder / "set.xlsx", (f"문장 {folder}", "행복"), ("같다", "중립"))
    rows, report = aihub_single.read(tmp_path)
    assert [row.id for row in rows] == [
        *("set-000002", "set-000003", "set(2)-000002", "set(2)-000003")
    ]
    assert rows[1].group == rows[3].group
    assert report.repeated.count == 1


def test_one_bad_file_is_reported_and_the_rest_is_read(tmp_path: Path) -> None:
    save_single(tmp_path / "good.xlsx", ("좋다", "행복"))
    save_single(tmp_path / "truncated.xlsx", ("좋다", "행복"))
    damaged = tmp_path / "truncated.xlsx"
    damaged.write_bytes(damaged.read_bytes()[:2000])
    rows, report = aihub_single.read(tmp_path)
    assert [row.id for row in rows] == ["good-000002"]
    assert report.files == ("good.xlsx",)
    assert "truncated.xlsx" in str(report)
    damaged.rename(tmp_path / "truncated.bak")
    assert aihub_single.read(tmp_path)[1].remarks == ()


def bad_zip(path: Path) -> None:
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("[Content_Types].xml", "<broken")


@pytest.mark.parametrize(
    "make",
    [
        lambda path: path.write_bytes(b""),
        lambda path: path.write_bytes(b"\xd0\xcf\x11\xe0" + b"\0" * 600),  # protected, or .xls
        lambda path: path.write_text("Sentence,Emotion\n"),
        bad_zip,
    ],
)
def test_what_is_no_spreadsheet_is_refused(tmp_path: Path, make: Any) -> None:
    path = tmp_path / "a.xlsx"
    make(path)
    with pytest.raises(InputError, match=r"a\.xlsx is not a readable \.xlsx file"):
        aihub_single.read(path)


def test_a_table_without_the_columns_is_refused(tmp_path: Path) -> None:
    path = save_single(tmp_path / "a.xlsx", ("좋다", "행복"))
    with pytest.raises(InputError, match=r"감정_소분류, 사람문장1 \(found: Sentence, Emotion\)"):
        aihub_dialogue.read(path)
    with pytest.raises(InputError, match="found: nothing"):
        aihub_single.read(save_table(tmp_path / "empty.xlsx", header=()))


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("[{", "not a readable"),
        ('{"profile": 1}', "expected a list of dialogues, got dict"),
        ("[]", "none of its 0 entries"),
        ('[{"a": 1}]', "none of its 1 entries"),
    ],
)
def test_json_of_another_kind_is_refused(tmp_path: Path, content: str, message: str) -> None:
    path = tmp_path / "a.json"
    path.write_text(content)
    with pytest.raises(InputError, match=message):
        aihub_dialogue.read(path)


def test_missing_and_misplaced_files(tmp_path: Path) -> None:
    with pytest.raises(MissingDataError, match=r"does not exist.*dataSetSn=86"):
        aihub_dialogue.read(tmp_path / "none.xlsx")
    with pytest.raises(MissingDataError, match=r"has no file \.xlsx"):
        aihub_single.read(tmp_path)
    (tmp_path / "a.csv").write_text("Sentence,Emotion")
    with pytest.raises(InputError, match="another format"):
        aihub_single.read(tmp_path / "a.csv")
    with pytest.raises(InputError, match="'word'"):
        aihub_dialogue.read(tmp_path, unit="word")  # type: ignore[arg-type]


def test_without_openpyxl_the_message_says_what_to_install(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = save_single(tmp_path / "a.xlsx", ("좋다", "행복"))
    listed = save_json(tmp_path / "b.json", dialogue("E24", HS01="비가 온다."))
    monkeypatch.setitem(sys.modules, "openpyxl", None)
    with pytest.raises(MissingExtraError, match=r"reading \.xlsx files.*maeum\[train\]"):
        aihub_single.read(path)
    assert len(aihub_dialogue.read(listed)[0]) == 1
