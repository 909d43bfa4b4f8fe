"""Encoders of every published layout: loading, limits, tokens, and what is refused."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

torch = pytest.importorskip("torch")
pytest.importorskip("transformers")

from toy_encoders import (  # noqa: E402
    LAYOUTS,
    TEXTS,
    ToySize,
    kcbert,
    klue,
    kobert_monologg,
    kobert_skt,
    koelectra,
    roberta,
)

from data_prep.errors import InputError, MissingDataError  # noqa: E402
from lyrics_model import backbone as backbone_module  # noqa: E402
from lyrics_model.backbone import (  # noqa: E402
    encoder_folder,
    load_backbone,
    load_masked_lm,
    save_folder,
    save_own,
)
from lyrics_model.normalisation import normalise  # noqa: E402
from lyrics_model.pretraining import Pretraining, PretrainingConfiguration  # noqa: E402
from lyrics_model.specification import EncoderSpecification  # noqa: E402
from lyrics_model.tokens import encode, load_tokenizer, train_tokenizer  # noqa: E402

torch.set_num_threads(1)


@pytest.mark.parametrize("layout", LAYOUTS)
def test_every_layout_runs_at_its_longest_input(tmp_path: Path, layout: str) -> None:
    backbone = load_backbone(str(LAYOUTS[layout](tmp_path)))
    assert (backbone.hidden_size, backbone.layers, backbone.max_tokens) == (16, 2, 40)
    tokenizer = backbone.tokenizer
    batch = tokenizer(
        [" ".join(TEXTS), TEXTS[0]],
        truncation=True,
        max_length=backbone.max_tokens,
        padding=True,
        return_tensors="pt",
    )
    ids, mask = batch["input_ids"], batch["attention_mask"]
    assert ids.shape == (2, 40)
    assert ids[:, 0].tolist() == [tokenizer.cls_token_id] * 2
    assert ids[0, -1] == tokenizer.sep_token_id
    assert ids[1, -1] == tokenizer.pad_token_id
    assert tokenizer.unk_token_id not in ids
    with torch.no_grad():
        hidden = backbone.model(input_ids=ids, attention_mask=mask).last_hidden_state
    assert hidden.shape == (2, 40, 16)
    assert hidden.dtype == torch.float32
    assert not any("pooler" in name for name, _ in backbone.model.named_parameters())


@pytest.mark.parametrize("layout", LAYOUTS)
def test_a_saved_encoder_is_the_same_encoder(tmp_path: Path, layout: str) -> None:
    torch.manual_seed(0)
    first = load_masked_lm(str(LAYOUTS[layout](tmp_path / "published")))
    save_folder(first.model, first.tokenizer, tmp_path / "saved")
    second = load_masked_lm(str(tmp_path / "saved"))
    assert not second.fresh_head
    texts = [*TEXTS, "처음 보는 말 ‘인용’  Ünïcödé", "넋 놓고 [MASK] 갉"]
    ids = [loaded.tokenizer(texts)["input_ids"] for loaded in (first, second)]
    assert ids[0] == ids[1]
    inputs = torch.tensor([ids[0][0]])
    with torch.no_grad():
        torch.testing.assert_close(first.model(inputs).logits, second.model(inputs).logits)
        hidden = load_backbone(str(tmp_path / "saved")).model(inputs).last_hidden_state
        torch.testing.assert_close(first.encoder(inputs).last_hidden_state, hidden)


def test_only_discriminators_start_with_a_fresh_head(tmp_path: Path) -> None:
    fresh = {
        name: load_masked_lm(str(make(tmp_path / name))).fresh_head
        for name, make in LAYOUTS.items()
    }
    assert [name for name, is_fresh in fresh.items() if is_fresh] == ["koelectra", "kcelectra"]


def test_dropout_is_set_everywhere_or_left_alone(tmp_path: Path) -> None:
    folder = str(klue(tmp_path, ToySize(dropout=0.25)))

    def rates(model: torch.nn.Module) -> set[float]:
        return {m.p for m in model.modules() if isinstance(m, torch.nn.Dropout)}

    assert rates(load_backbone(folder).model) == {0.25}
    assert rates(load_backbone(folder, dropout=0.0).model) == {0.0}
    assert rates(load_masked_lm(folder, dropout=0.5).model) == {0.5}
    with pytest.raises(InputError, match=r"dropout 1\.5"):
        load_backbone(folder, dropout=1.5)


def test_klue_reads_words_as_bert_does(tmp_path: Path) -> None:
    tokenizer = load_backbone(str(klue(tmp_path))).tokenizer
    assert (tokenizer.cls_token_id, tokenizer.pad_token_id, tokenizer.sep_token_id) == (0, 1, 2)
    ids = tokenizer("오늘 너무")["input_ids"]
    assert tokenizer.convert_ids_to_tokens(ids) == ["[CLS]", "오늘", "너", "##무", "[SEP]"]


def test_klue_is_read_even_where_nothing_names_the_tokenizer(tmp_path: Path) -> None:
    expected = load_backbone(str(klue(tmp_path))).tokenizer(TEXTS[0])["input_ids"]
    path = tmp_path / "config.json"
    content = json.loads(path.read_text(encoding="utf-8"))
    del content["tokenizer_class"]
    path.write_text(json.dumps(content), encoding="utf-8")
    assert load_backbone(str(tmp_path)).tokenizer(TEXTS[0])["input_ids"] == expected


@pytest.mark.parametrize("make", [kobert_skt, kobert_monologg])
def test_kobert_cuts_decomposed_hangul_like_composed(tmp_path: Path, make) -> None:
    import unicodedata

    tokenizer = load_backbone(str(make(tmp_path))).tokenizer
    assert tokenizer.convert_ids_to_tokens([0, 1, 2, 3, 4]) == [
        "[UNK]",
        "[PAD]",
        "[CLS]",
        "[SEP]",
        "[MASK]",
    ]
    text = "오늘 너무"
    pieces = tokenizer.convert_ids_to_tokens(tokenizer(text)["input_ids"])
    assert pieces == ["[CLS]", "▁오늘", "▁", "너", "무", "[SEP]"]
    decomposed = tokenizer(unicodedata.normalize("NFD", f"  {text} "))["input_ids"]
    assert tokenizer.convert_ids_to_tokens(decomposed) == pieces


def test_kobert_takes_its_ids_from_the_vocabulary_beside_it(tmp_path: Path) -> None:
    tokenizer = load_backbone(str(kobert_monologg(tmp_path))).tokenizer
    rows = (tmp_path / "vocab.txt").read_text(encoding="utf-8").splitlines()
    ids = tokenizer("오늘 비가")["input_ids"]
    assert [rows[i] for i in ids] == tokenizer.convert_ids_to_tokens(ids)
    assert len(tokenizer) == len(rows)


def test_a_template_with_the_first_token_last_is_put_right(tmp_path: Path) -> None:
    published = load_masked_lm(str(kobert_skt(tmp_path / "a")))
    save_folder(published.model, published.tokenizer, tmp_path / "b")
    path = tmp_path / "b" / "tokenizer_config.json"
    content = json.loads(path.read_text(encoding="utf-8"))
    path.write_text(json.dumps(content | {"tokenizer_class": "XLNetTokenizer"}), encoding="utf-8")
    tokenizer = load_backbone(str(tmp_path / "b")).tokenizer
    ids = tokenizer([TEXTS[0], TEXTS[2]], padding=True)["input_ids"]
    assert [row[0] for row in ids] == [tokenizer.cls_token_id] * 2
    assert sorted(row[-1] for row in ids) == [tokenizer.pad_token_id, tokenizer.sep_token_id]


def test_torch_weights_are_read_too(tmp_path: Path) -> None:
    from safetensors.torch import load_file

    folder = kcbert(tmp_path)
    inputs = torch.tensor([[2, 7, 3]])
    with torch.no_grad():
        expected = load_backbone(str(folder)).model(inputs).last_hidden_state
        torch.save(load_file(folder / "model.safetensors"), folder / "pytorch_model.bin")
        (folder / "model.safetensors").unlink()
        assert torch.equal(load_backbone(str(folder)).model(inputs).last_hidden_state, expected)


def test_half_precision_weights_become_float32(tmp_path: Path) -> None:
    published = load_masked_lm(str(klue(tmp_path / "a")))
    save_folder(published.model.half(), published.tokenizer, tmp_path / "b")
    parameters = load_backbone(str(tmp_path / "b")).model.parameters()
    assert {parameter.dtype for parameter in parameters} == {torch.float32}


def test_an_unreachable_hub_says_where_to_put_a_copy(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from huggingface_hub.errors import LocalEntryNotFoundError

    def unreachable(*_: object, **__: object) -> str:
        raise LocalEntryNotFoundError("no route")

    monkeypatch.setattr(backbone_module, "snapshot_download", unreachable)
    with pytest.raises(MissingDataError) as caught:
        load_backbone("klue/roberta-large")
    message = str(caught.value)
    assert "'klue/roberta-large'" in message
    assert "no copy is cached" in message
    assert "hf download klue/roberta-large --local-dir roberta-large" in message
    assert "--encoder roberta-large" in message


def test_a_cached_copy_is_used(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = klue(tmp_path)
    monkeypatch.setattr(backbone_module, "snapshot_download", lambda *_, **__: str(folder))
    assert load_backbone("klue/roberta-base").name == "klue/roberta-base"


@pytest.mark.parametrize("name", ["", "./nowhere", "/nowhere/at/all", "a/b/c", "two words/x"])
def test_what_is_neither_folder_nor_name_is_refused(name: str) -> None:
    with pytest.raises(InputError, match="no such folder"):
        load_backbone(name)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda f: (f / "config.json").unlink(), "no config.json"),
        (lambda f: (f / "model.safetensors").unlink(), "no weights"),
        (lambda f: (f / "model.safetensors").write_bytes(b"x" * 64), "cannot be loaded"),
        (lambda f: (f / "config.json").write_text("{"), "config.json"),
        (lambda f: (f / "vocab.txt").unlink(), "tokenizer"),
        (lambda f: _widen(f / "vocab.txt"), "do not belong together"),
        (lambda f: _set(f / "config.json", num_hidden_layers=3), "are not in its weights"),
        (lambda f: _set(f / "config.json", pad_token_id=3), "from which positions are counted"),
        (lambda f: _set(f / "config.json", model_type="unheard-of"), "config.json"),
    ],
)
def test_a_folder_that_does_not_fit_is_refused(tmp_path: Path, change, message: str) -> None:
    folder = klue(tmp_path)
    change(folder)
    with pytest.raises(InputError, match=message):
        load_backbone(str(folder))


def test_code_in_a_folder_is_never_run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = klue(tmp_path)
    code = "raise SystemExit('this code ran')\n"
    (folder / "strange.py").write_text(code, encoding="utf-8")
    mapping = {"AutoConfig": "strange.Strange", "AutoModel": "strange.Strange"}
    _set(folder / "config.json", model_type="strange", auto_map=mapping)
    monkeypatch.setattr("builtins.input", lambda *_: pytest.fail("asked whether to run it"))
    with pytest.raises(InputError, match=r"config\.json"):
        load_backbone(str(folder))
    folder = kcbert(tmp_path / "tokenizer")
    (folder / "strange.py").write_text(code, encoding="utf-8")
    mapping = {"AutoTokenizer": ["strange.Strange", None]}
    _set(folder / "tokenizer_config.json", tokenizer_class="Strange", auto_map=mapping)
    with pytest.raises(InputError, match="tokenizer cannot be read"):
        load_backbone(str(folder))


def _set(path: Path, **settings: object) -> None:
    content = json.loads(path.read_text(encoding="utf-8"))
    path.write_text(json.dumps(content | settings), encoding="utf-8")


def _widen(path: Path) -> None:
    path.write_text(path.read_text(encoding="utf-8") + "뷁\n", encoding="utf-8")


def test_a_damaged_sentencepiece_model_is_refused(tmp_path: Path) -> None:
    folder = kobert_skt(tmp_path)
    (folder / "spiece.model").write_bytes(b"\x00\x01 not a model")
    with pytest.raises(InputError, match=r"tokenizer|SentencePiece"):
        load_backbone(str(folder))


def test_encoder_folder_leaves_a_folder_where_it_is(tmp_path: Path) -> None:
    assert encoder_folder(str(koelectra(tmp_path))) == tmp_path


FOLDED = [
    "오늘 너무 우울해ㅋㅋㅋㅋㅋㅋㅋ",
    "Sooooooo   GOOD – “really” it’s…",
    "하하하하하하하하 nananananana 아싸아싸아싸아싸아싸",
    "봐 https://example.org/a?b=c 여기 www.example.org",
    "한글\n\t 줄  바꿈 ",
    "ㅠㅠㅠㅠㅠㅠ!!!!!!??????",
    "한글",
]


def test_own_encoder_becomes_one_more_folder(tmp_path: Path) -> None:
    specification = EncoderSpecification(
        vocab_size=200,
        hidden_size=16,
        layers=2,
        attention_heads=2,
        intermediate_size=32,
        max_tokens=24,
    )
    pieces = train_tokenizer([*TEXTS, *FOLDED] * 2, 200)
    pieces.save(str(tmp_path / "tokenizer.json"))
    torch.manual_seed(0)
    module = Pretraining(specification, PretrainingConfiguration()).eval()
    with torch.no_grad():
        module.words.decoder.bias.normal_()
    checkpoint: dict[str, object] = {"state_dict": module.state_dict()}
    module.on_save_checkpoint(checkpoint)
    torch.save(checkpoint, tmp_path / "last.ckpt")
    folder = save_own(tmp_path / "last.ckpt", tmp_path / "tokenizer.json", tmp_path / "own")

    own = load_masked_lm(str(folder))
    assert not own.fresh_head
    assert own.max_tokens == load_backbone(str(folder)).max_tokens == 24
    texts = [*TEXTS, *FOLDED]
    expected = encode(
        load_tokenizer(tmp_path / "tokenizer.json"), [normalise(text) for text in texts], 24
    )
    ids = own.tokenizer(texts, truncation=True, max_length=24)["input_ids"]
    assert ids == [row.tolist() for row in expected]
    row = torch.tensor([ids[0]])
    with torch.no_grad():
        logits = module.words(module.encoder(input_ids=row).last_hidden_state)
        torch.testing.assert_close(own.model(input_ids=row).logits, logits)


def test_own_encoder_without_pretraining_says_what_to_run(tmp_path: Path) -> None:
    with pytest.raises(MissingDataError, match="maeum pretrain lyrics"):
        save_own(tmp_path / "last.ckpt", tmp_path / "tokenizer.json", tmp_path / "own")


def test_bpe_keeps_case_and_spaces(tmp_path: Path) -> None:
    tokenizer = load_backbone(str(roberta(tmp_path))).tokenizer
    assert tokenizer.decode(tokenizer("I Feel so")["input_ids"][1:-1]) == "I Feel so"
