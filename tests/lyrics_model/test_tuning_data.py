"""Labelled texts for tuning: targets, balance, folds and figures, by hand."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from tokenizers import Tokenizer, models, pre_tokenizers, processors

import data_prep.readers.aihub_single as aihub_single
from data_prep.errors import InputError
from data_prep.readers.row import TextRow
from data_prep.taxonomy import native_label_set
from lyrics_model.text_encoding import TextEncoding, padded
from lyrics_model.tuning_data import (
    SourceRows,
    TuningData,
    build_data,
    choose_training,
    describe,
    fold_data,
    label_weights,
    own_split,
    read_source,
)
from lyrics_model.tuning_figures import (
    interval_of_mean,
    label_f1,
    label_sets_from,
    six_probabilities,
    split_figures,
    validation_figures,
)
from lyrics_model.tuning_specification import (
    LabelSource,
    TuningConfiguration,
    TuningSpecification,
    parse_sources,
)

KOTE = native_label_set("kote")
GOEMOTIONS = native_label_set("goemotions")
MIXED = TuningSpecification("toy", "cls", ("kote", "goemotions"), max_tokens=8)
SOURCES = parse_sources("kote,goemotions-en")


def _encoding() -> TextEncoding:
    vocabulary = {"[CLS]": 0, "[PAD]": 1, "[SEP]": 2, "[UNK]": 3, "a": 4, "b": 5}
    tokenizer = Tokenizer(models.WordLevel(vocabulary, unk_token="[UNK]"))
    tokenizer.pre_tokenizer = pre_tokenizers.Whitespace()
    tokenizer.post_processor = processors.BertProcessing(("[SEP]", 2), ("[CLS]", 0))
    return TextEncoding(tokenizer, "nfc", 8, 1)


def _row(name: str, text: str, label_set, labels: dict[str, float], group: str = "") -> TextRow:
    shares = np.zeros(len(label_set.labels), dtype=np.float32)
    for label, share in labels.items():
        shares[label_set.index(label)] = share
    return TextRow(name, text, shares, group=group or name, language="ko")


def _read(rows: dict[str, list[TextRow]], source: LabelSource) -> SourceRows:
    return SourceRows(source, {"train": [], "validation": [], "test": []} | rows, "MIT")


def _mixed() -> TuningData:
    kote = {
        "train": [_row(f"k{i}", "a b", KOTE, {"슬픔": 1, "기쁨": 1, "행복": 1}) for i in range(6)],
        "validation": [
            _row("k8", "a", KOTE, {"슬픔": 1}),
            _row("k9", "a b a", KOTE, {"기쁨": 0.4}),
        ],
    }
    goemotions = {
        "train": [
            *(_row(f"g{i}", "b", GOEMOTIONS, {"joy": 1}) for i in range(8)),
            _row("g8", "b b", GOEMOTIONS, {"joy": 1, "anger": 1}),
            _row("g9", "b", GOEMOTIONS, {"anger": 1}),
        ],
        "validation": [_row("g10", "b a", GOEMOTIONS, {"anger": 1})],
        "test": [_row("g11", "b", GOEMOTIONS, {"joy": 1})],
    }
    read = [_read(kote, SOURCES[0]), _read(goemotions, SOURCES[1])]
    return build_data(read, MIXED, _encoding())


def test_a_text_has_targets_in_its_own_label_set_alone() -> None:
    data = _mixed()
    kote, goemotions = MIXED.columns("kote"), MIXED.columns("goemotions")
    first = data.targets[0]
    assert np.isnan(first[goemotions]).all()
    assert first[kote].sum() == 3  # labels that do not exclude each other stay as they are
    both = data.targets[data.train[6 + 8]]
    assert np.isnan(both[kote]).all()
    assert both[goemotions][GOEMOTIONS.index("joy")] == 0.5
    assert both[goemotions].sum() == 1
    assert [row.tolist() for row in data.pieces[:1]] == [[0, 4, 5, 2]]
    assert describe(data)["goemotions-en"]["train"] == 10
    assert describe(data)["goemotions-en"]["train_six"]["joy"] == 8  # a tie has no emotion
    assert [entry.rows for entry in data.provenance] == [6, 10]


def test_rows_without_words_or_labels_are_reported() -> None:
    rows = [
        _row("1", " \n ", KOTE, {"슬픔": 1}),
        _row("2", "a", KOTE, {}),
        _row("3", "b", KOTE, {"슬픔": float("nan")}),
        _row("4", "a", KOTE, {"슬픔": 1}),
    ]
    specification = replace(MIXED, label_sets=("kote",))
    data = build_data([_read({"train": rows}, SOURCES[0])], specification, _encoding())
    assert len(data) == 1
    assert data.remarks == (
        "kote: 1 rows left out: no words",
        "kote: 2 rows left out: no label",
    )
    with pytest.raises(InputError, match="2 rows left out: no label"):
        build_data([_read({"train": rows[:3]}, SOURCES[0])], specification, _encoding())
    with pytest.raises(InputError, match="no output for 'goemotions'"):
        build_data([_read({"train": rows}, SOURCES[1])], specification, _encoding())


def test_sampling_keeps_at_most_so_many_of_a_label() -> None:
    data = _mixed()
    configuration = TuningConfiguration(SOURCES, balance="sampling", per_label=3)
    chosen = choose_training(data, MIXED, configuration)
    targets = data.targets[chosen.train]
    kote = ~np.isnan(targets[:, 0])
    assert kote.sum() == 3  # all six are of one emotion
    own = targets[~kote][:, MIXED.columns("goemotions")]
    # The text with two labels counts for the first of its strongest, "anger".
    assert own.argmax(axis=1).tolist().count(GOEMOTIONS.index("joy")) == 3
    assert own.argmax(axis=1).tolist().count(GOEMOTIONS.index("anger")) == 2
    assert len(np.unique(chosen.train)) == len(chosen.train)
    again = choose_training(data, MIXED, configuration)
    np.testing.assert_array_equal(chosen.train, again.train)
    assert any("grief" in remark and "without" in remark for remark in chosen.remarks)
    assert [entry.rows for entry in chosen.provenance] == [3, 5]


def test_limit_draws_by_the_seed() -> None:
    data = _mixed()
    draws = [
        choose_training(data, MIXED, TuningConfiguration(SOURCES, limit=5, seed=seed)).train
        for seed in (0, 0, 1)
    ]
    assert [len(draw) for draw in draws] == [5, 5, 5]
    assert draws[0].tolist() == draws[1].tolist() != draws[2].tolist()


def test_label_weights_by_hand() -> None:
    weights = label_weights(_mixed(), MIXED)
    goemotions, kote = weights["goemotions"], weights["kote"]
    # 10 texts: joy 8.5, anger 1.5; two labels are there.
    assert goemotions[GOEMOTIONS.index("joy")] == pytest.approx(10 / (2 * 8.5))
    assert goemotions[GOEMOTIONS.index("anger")] == pytest.approx(10 / (2 * 1.5))
    assert goemotions[GOEMOTIONS.index("grief")] == 1
    # Every text has 슬픔: nothing speaks against it, and the weight is bounded.
    assert kote[KOTE.index("슬픔")] == pytest.approx(0.1)
    assert kote[KOTE.index("불쌍함/연민")] == 1


def test_folds_hold_out_everything_once_and_tear_no_group() -> None:
    rows = [_row(f"{i}", "a b", KOTE, {"슬픔": 1}, group=f"poet {i % 7}") for i in range(60)]
    specification = replace(MIXED, label_sets=("kote",))
    read = _read({"train": rows[:40], "validation": rows[40:], "test": rows[:3]}, SOURCES[0])
    data = build_data([read], specification, _encoding())
    folds = fold_data(data, 3, seed=0)
    held_out = np.concatenate([fold.validation for fold in folds])
    assert sorted(held_out.tolist()) == sorted([*data.train.tolist(), *data.validation.tolist()])
    for fold in folds:
        train = {data.groups[i] for i in fold.train}
        assert not train & {data.groups[i] for i in fold.validation}
        assert not set(fold.train) & set(data.test)
    sizes = [len(fold.validation) for fold in folds]
    assert max(sizes) - min(sizes) <= 9  # no more than a group apart
    with pytest.raises(InputError, match="7 groups"):
        fold_data(data, 8, seed=0)


def test_own_files_are_split_by_group_always_alike() -> None:
    splits = [own_split(f"dialogue {i}") for i in range(2_000)]
    assert splits == [own_split(f"dialogue {i}") for i in range(2_000)]
    assert 150 < splits.count("test") < 250
    assert 150 < splits.count("validation") < 250


def test_a_users_own_file_is_read_with_its_report(monkeypatch) -> None:
    label_set = native_label_set("aihub_single_7")
    rows = [_row(str(i), "a", label_set, {"행복": 1}, group=f"s{i}") for i in range(50)]
    monkeypatch.setattr(aihub_single, "read", lambda path: (rows, "50 rows\n3 mended"))
    read = read_source(LabelSource("aihub-7", Path("own.xlsx")))
    assert sum(len(part) for part in read.rows.values()) == 50
    assert read.remarks == ("50 rows", "3 mended")
    monkeypatch.setattr(aihub_single, "read", lambda path: ([], "nothing"))
    with pytest.raises(InputError, match=r"own\.xlsx .*nothing"):
        read_source(LabelSource("aihub-7", Path("own.xlsx")))


def test_a_file_in_the_published_layout_is_read(tmp_path) -> None:
    openpyxl = pytest.importorskip("openpyxl")
    book = openpyxl.Workbook()
    book.active.append(["Sentence", "Emotion"])
    for i in range(60):
        book.active.append([f"문장 {i}번", ("행복", "슬픔", "ㅈ립", "불만")[i % 4]])
    book.save(tmp_path / "own.xlsx")
    read = read_source(LabelSource("aihub-7", tmp_path / "own.xlsx"))
    assert sum(len(rows) for rows in read.rows.values()) == 45
    assert any("불만" in remark for remark in read.remarks)
    specification = replace(MIXED, label_sets=("aihub_single_7",))
    data = build_data([read], specification, _encoding())
    # Joy, sadness and neutral in turn, whatever the split.
    assert np.bincount(data.six, minlength=6).tolist() == [15, 0, 0, 15, 0, 15]
    assert len(data.train) > len(data.validation) > 0


def test_label_f1_agrees_with_scikit_learn() -> None:
    metrics = pytest.importorskip("sklearn.metrics")
    generator = np.random.default_rng(0)
    reference = generator.random((200, 6)) < 0.3
    estimated = generator.random((200, 6)) < 0.4
    macro, micro = label_f1(reference, estimated)
    assert macro == pytest.approx(metrics.f1_score(reference, estimated, average="macro"))
    assert micro == pytest.approx(metrics.f1_score(reference, estimated, average="micro"))
    # A label that nobody speaks of does not count.
    wider = np.concatenate([reference, np.zeros((200, 1), bool)], axis=1)
    same = np.concatenate([estimated, np.zeros((200, 1), bool)], axis=1)
    assert label_f1(wider, same)[0] == pytest.approx(macro)


def test_answers_are_labels_above_the_threshold_or_the_strongest() -> None:
    values = np.array([[0.5, 0.35, 0.1], [0.2, 0.1, 0.29]])
    assert label_sets_from(values).tolist() == [[True, True, False], [False, False, True]]
    assert label_sets_from(values, one=True).sum(axis=1).tolist() == [1, 1]


def test_figures_by_hand() -> None:
    data = _mixed()
    logits = np.full((len(data), MIXED.outputs), -9.0, dtype=np.float32)
    kote, goemotions = MIXED.columns("kote"), MIXED.columns("goemotions")
    for i in data.validation:
        logits[i, kote.start + KOTE.index("슬픔")] = 9
        logits[i, goemotions.start + GOEMOTIONS.index("anger")] = 9
    index = data.validation
    quick = validation_figures(logits[index], index, data, MIXED)
    # KOTE: sadness is right, joy is answered with sadness: F1 2/3 and 0.
    assert quick == pytest.approx({"kote": 1 / 3, "goemotions-en": 1.0})
    figures = split_figures(logits[index], index, data, MIXED, seed=0)
    assert figures["mean_six_macro_f1"] == pytest.approx(2 / 3)
    assert figures["kote"]["six"]["accuracy"] == 0.5
    assert figures["kote"]["native"]["accuracy"] == 0.5
    # Training texts of KOTE are all of joy by two labels of three, which one of two is.
    assert figures["kote"]["six"]["constant"]["accuracy"] == 0.5
    assert figures["goemotions-en"]["native"]["macro_f1"] == 1.0
    assert figures["goemotions-en"]["native"]["constant"]["accuracy"] == 0.0
    low, high = figures["kote"]["six"]["macro_f1_interval"]
    assert 0 <= low <= 1 / 3 <= high <= 1


def test_six_from_logits_is_the_projected_probability() -> None:
    logits = np.zeros((1, MIXED.outputs), dtype=np.float32)
    logits[0, MIXED.columns("goemotions")][GOEMOTIONS.index("anger")] = 50
    np.testing.assert_allclose(
        six_probabilities(logits, MIXED, "goemotions"), [[0, 0, 0, 0, 1, 0]], atol=1e-6
    )


def test_interval_of_a_mean_by_hand() -> None:
    # Student's t at 97.5% with 2 degrees of freedom is 4.303; standard error 1 / sqrt(3).
    low, high = interval_of_mean(np.array([1.0, 2.0, 3.0]))
    assert (low, high) == pytest.approx((2 - 4.3027 / 3**0.5, 2 + 4.3027 / 3**0.5), abs=1e-3)


def test_encoding_cuts_and_pads() -> None:
    encoding = _encoding()
    rows = encoding.rows(["a b  a b\na b a b", "b"])
    assert [row.tolist() for row in rows] == [[0, 4, 5, 4, 5, 4, 5, 2], [0, 5, 2]]
    ids, mask = padded(rows, encoding.pad_id)
    assert ids[1].tolist() == [0, 5, 2, 1, 1, 1, 1, 1]
    assert mask.sum(axis=1).tolist() == [8, 3]
    assert encoding.features() == {
        "max_tokens": 8,
        "ngrams": None,
        "normalisation": "nfc",
        "pad_id": 1,
    }
    with pytest.raises(InputError, match="no room"):
        replace(encoding, max_tokens=2)
    with pytest.raises(InputError, match="nfc-lower-fold3"):
        replace(encoding, normalisation="upper")
