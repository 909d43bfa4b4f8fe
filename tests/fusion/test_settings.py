"""Settings: what is refused, what the hash covers, save and load."""

import json
from dataclasses import replace

import pytest

from data_prep.errors import InputError
from data_prep.model_folder import ModelCard
from fusion.quantile_map import QuantileMap
from fusion.rules import METHODS, Gate, Mean, Product
from fusion.settings import BranchCalibration, FusionSettings


def test_the_embedded_settings_load():
    settings = FusionSettings.load()
    assert settings.rule.method in METHODS
    assert len(settings.hash) == 16


def test_save_and_load_give_the_same(tmp_path):
    settings = FusionSettings(
        lyrics=BranchCalibration(1.5, (0.4, 0.2, 0.1, 0.1, 0.1, 0.1), 0.3),
        audio=BranchCalibration(
            target=(0.3, 0.2, 0.2, 0.1, 0.1, 0.1), scale=(2.0,) * 6, bias=(0.5, -0.5, 0, 0, 0, 0)
        ),
        rule=Product(0.35, 1.0),
        fused_temperature=0.8,
        relative=QuantileMap(((-1.0, 1.0),) * 6, ((-2.0, 2.0),) * 6),
    )
    settings.save(tmp_path / "fusion.json")
    loaded = FusionSettings.load(tmp_path / "fusion.json")
    assert loaded == settings
    assert loaded.hash == settings.hash


def test_the_hash_covers_what_decides_a_stored_vector():
    settings = FusionSettings()
    assert replace(settings, rule=Mean(0.4)).hash != settings.hash
    assert replace(settings, rule=Product()).hash != settings.hash
    assert replace(settings, rule=Gate()).hash != settings.hash
    assert replace(settings, fused_temperature=0.9).hash != settings.hash
    assert replace(settings, audio=BranchCalibration(2.0)).hash != settings.hash
    assert replace(settings, abstain_below=0.1).hash == settings.hash
    assert replace(settings, mood=BranchCalibration(2.0)).hash == settings.hash


@pytest.mark.parametrize(
    ("field", "value"),
    [("fused_temperature", 0.0), ("abstain_below", -0.1)],
)
def test_settings_out_of_range_name_the_value(field, value):
    with pytest.raises(InputError, match=str(value)):
        FusionSettings(**{field: value})


@pytest.mark.parametrize(
    "arguments",
    [
        {"temperature": 0.0},
        {"temperature": float("nan")},
        {"prior": (0.5, 0.5)},
        {"prior": (0.5, 0.5, 0.0, 0.0, 0.0, 0.0)},
        {"prior": (0.9, 0.9, 0.1, 0.1, 0.1, 0.1)},
        {"prior_strength": 2.0},
        {"target": (0.5, 0.5, 0.0, 0.0, 0.0, 0.0)},
        {"scale": (0.0,) * 6},
        {"bias": (float("inf"),) * 6},
        {"bias": (1.0,)},
    ],
)
def test_calibrations_out_of_range_are_refused(arguments):
    with pytest.raises(InputError):
        BranchCalibration(**arguments)


@pytest.mark.parametrize(
    "content",
    [
        "",
        "[]",
        "{}",
        '{"version": 3}',
        '{"version": 2, "unknown": 1}',
        '{"version": 2, "rule": {"method": "median"}}',
        '{"version": 2, "rule": {"method": "mean", "lyrics_weight": 1.2}}',
        '{"version": 2, "rule": {"method": "mean", "exponent": 1}}',
        '{"version": 2, "rule": 3}',
        '{"version": 2, "relative": {"songs": [], "moods": []}}',
        '{"version": 2, "relative": 3}',
        '{"version": 1, "method": "median"}',
        '{"version": 1, "audio": 3}',
    ],
)
def test_a_file_that_holds_no_settings_is_named(tmp_path, content):
    path = tmp_path / "mine.json"
    path.write_text(content, encoding="utf-8")
    with pytest.raises(InputError, match=r"mine\.json"):
        FusionSettings.load(path)


def test_a_missing_file_is_named(tmp_path):
    with pytest.raises(InputError, match=r"absent\.json"):
        FusionSettings.load(tmp_path / "absent.json")


def test_other_models_bring_their_own_calibration():
    card = ModelCard(
        kind="lyrics",
        name="other",
        labels={},
        head_weights={},
        features={},
        temperature=1.8,
        prior=[0.5, 0.1, 0.1, 0.1, 0.1, 0.1],
    )
    base = FusionSettings(lyrics=BranchCalibration(prior_strength=0.4))
    changed = base.for_cards(lyrics_card=card)
    assert changed.lyrics == BranchCalibration(1.8, (0.5, 0.1, 0.1, 0.1, 0.1, 0.1), 0.4)
    assert changed.mood.temperature == 1.8
    assert changed.mood.prior_strength == 0.0
    assert changed.audio == base.audio
    assert base.for_cards() == base


def test_a_mood_is_read_with_its_own_calibration():
    settings = FusionSettings(
        lyrics=BranchCalibration(prior_strength=1.0), mood=BranchCalibration(0.7)
    )
    assert settings.for_mood().lyrics == BranchCalibration(0.7)
    relative = QuantileMap(((-1.0, 1.0),) * 6, ((-2.0, 2.0),) * 6)
    assert replace(settings, relative=relative).for_mood().relative is None


def test_the_file_is_plain_json(tmp_path):
    FusionSettings().save(tmp_path / "fusion.json")
    content = json.loads((tmp_path / "fusion.json").read_text(encoding="utf-8"))
    assert content["version"] == 2
    assert content["rule"] == {"method": "mean", "lyrics_weight": 0.5}
    assert set(content) == {
        "version", "lyrics", "audio", "mood", "rule", "fused_temperature", "relative",
        "abstain_below",
    }  # fmt: skip


def test_settings_of_the_first_version_are_read():
    calibration = {"temperature": 2.0, "prior": [0.5, 0.1, 0.1, 0.1, 0.1, 0.1]}
    first = {"version": 1, "lyrics": calibration, "method": "product", "lyrics_weight": 0.2}
    settings = FusionSettings.from_dict(first)
    assert settings.rule == Product(0.25, 1.0)
    assert settings.lyrics == BranchCalibration(2.0, (0.5, 0.1, 0.1, 0.1, 0.1, 0.1))
    assert FusionSettings.from_dict({"version": 1, "lyrics_weight": 0.3}).rule == Mean(0.3)


def test_settings_are_written_whole_or_not_at_all(tmp_path):
    path = tmp_path / "fusion.json"
    FusionSettings().save(path)
    before = path.read_bytes()
    with pytest.raises(InputError, match="cannot be written"):
        FusionSettings().save(tmp_path / "none" / "fusion.json")
    path.with_name(".fusion.json.new").mkdir()
    with pytest.raises(InputError, match="cannot be written"):
        FusionSettings(abstain_below=0.5).save(path)
    assert path.read_bytes() == before
