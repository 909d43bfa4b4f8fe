"""Fusion settings: everything that turns two branch answers into one.

Stored as JSON. ``fusion/embedded.json`` belongs to the embedded models; a file
of the same form can be given to any command with ``--fusion``.
"""

from __future__ import annotations

import hashlib
import json
from contextlib import suppress
from dataclasses import asdict, dataclass, field, replace
from importlib.resources import files
from pathlib import Path
from typing import Any, Final

from data_prep.errors import InputError
from data_prep.model_folder import ModelCard
from data_prep.taxonomy import EMOTIONS, N_EMOTIONS
from fusion.quantile_map import QuantileMap
from fusion.rules import FusionRule, Mean, Product, rule_from_dict

SETTINGS_VERSION: Final = 2
_EMBEDDED_NAME: Final = "embedded.json"
_UNIFORM: Final = (1.0 / N_EMOTIONS,) * N_EMOTIONS
_DECISIVE: Final = ("lyrics", "audio", "rule", "fused_temperature", "relative")
_LARGEST_BIAS: Final = 20.0


@dataclass(frozen=True)
class BranchCalibration:
    """How one branch's raw answer is corrected before fusion.

    The corrected answer is ``p ** (scale / temperature) · exp(bias) ·
    (target / prior) ** prior_strength``, scaled to sum to one.

    Attributes
    ----------
    temperature
        Divides the log probabilities; > 0. Above 1 flattens, below 1 sharpens.
    prior
        The branch's average answer over songs (6,), positive, sums to one.
    prior_strength
        Exponent of the correction of the prior, 0 (not at all) to 1 (wholly).
    target
        Shares that the emotions are believed to have (6,), positive, sums to one; uniform
        where nothing is known of them.
    scale, bias
        Of vector scaling (Guo et al. 2017): for each of the six a factor above 0 of its log
        probability, and what is added to it. Ones and zeros are plain temperature scaling.
    """

    temperature: float = 1.0
    prior: tuple[float, ...] = _UNIFORM
    prior_strength: float = 0.0
    target: tuple[float, ...] = _UNIFORM
    scale: tuple[float, ...] = (1.0,) * N_EMOTIONS
    bias: tuple[float, ...] = (0.0,) * N_EMOTIONS

    def __post_init__(self) -> None:
        for name in ("prior", "target", "scale", "bias"):
            values = tuple(float(p) for p in getattr(self, name))
            if len(values) != N_EMOTIONS:
                raise InputError(
                    f"{name} {list(values)}: expected {N_EMOTIONS} numbers in the order "
                    f"{', '.join(EMOTIONS)}"
                )
            object.__setattr__(self, name, values)
        if not 0.01 <= self.temperature <= 100.0:
            raise InputError(f"temperature {self.temperature}: expected a number from 0.01 to 100")
        for name in ("prior", "target"):
            _check_shares(name, getattr(self, name))
        if not 0.0 <= self.prior_strength <= 1.0:
            raise InputError(f"prior_strength {self.prior_strength}: expected a number from 0 to 1")
        if not all(0.01 <= factor <= 100.0 for factor in self.scale):
            raise InputError(f"scale {list(self.scale)}: expected numbers from 0.01 to 100")
        if not all(abs(value) <= _LARGEST_BIAS for value in self.bias):
            raise InputError(
                f"bias {list(self.bias)}: expected numbers from {-_LARGEST_BIAS:g} to "
                f"{_LARGEST_BIAS:g}"
            )


def _check_shares(name: str, shares: tuple[float, ...]) -> None:
    if not all(0.0 < p < 1.0 for p in shares):
        raise InputError(
            f"{name} {list(shares)}: expected {N_EMOTIONS} numbers between 0 and 1 in the "
            f"order {', '.join(EMOTIONS)}"
        )
    total = sum(shares)
    if abs(total - 1.0) > 1e-3:
        raise InputError(f"{name} {list(shares)}: expected a sum of 1, got {total}")


@dataclass(frozen=True)
class FusionSettings:
    """Calibration of each branch, and the rule that combines them.

    Attributes
    ----------
    lyrics, audio
        Calibration of the branches' answers about songs.
    rule
        Combines the calibrated answers where there are both.
    fused_temperature
        Divides the log probabilities of what the rule gives, > 0: a mean of two calibrated
        answers is less sure than it may be.
    relative
        Spreads the songs of a catalogue, whatever their branches, over the moods that people
        ask for; ``None`` keeps what they say for themselves.
    abstain_below
        A fused answer whose strongest emotion has less than this probability is
        marked as abstaining, 0 to 1.
    mood
        Calibration of the lyric branch when it reads a mood sentence rather
        than a song: people who state a mood do not share the songs' prior.
    """

    lyrics: BranchCalibration = field(default_factory=BranchCalibration)
    audio: BranchCalibration = field(default_factory=BranchCalibration)
    rule: FusionRule = field(default_factory=Mean)
    fused_temperature: float = 1.0
    relative: QuantileMap | None = None
    abstain_below: float = 0.3
    mood: BranchCalibration = field(default_factory=BranchCalibration)

    def __post_init__(self) -> None:
        if not 0.01 <= self.fused_temperature <= 100.0:
            raise InputError(
                f"fused_temperature {self.fused_temperature}: expected a number from 0.01 to 100"
            )
        if not 0.0 <= self.abstain_below <= 1.0:
            raise InputError(f"abstain_below {self.abstain_below}: expected a number from 0 to 1")

    @property
    def hash(self) -> str:
        """16 hex digits over what decides a stored fused vector.

        ``abstain_below`` and ``mood`` do not count: changing them makes no
        catalogue stale.
        """
        content = self.to_dict()
        decisive = {key: content[key] for key in _DECISIVE}
        return hashlib.sha256(json.dumps(decisive, sort_keys=True).encode("utf-8")).hexdigest()[:16]

    def for_mood(self) -> FusionSettings:
        """The same settings with the mood calibration on the lyric branch; a mood is what songs
        are relative to, and stays as it is."""
        return replace(self, lyrics=self.mood, relative=None)

    def for_cards(
        self, lyrics_card: ModelCard | None = None, audio_card: ModelCard | None = None
    ) -> FusionSettings:
        """Settings for other models: temperature and prior are those of their cards."""
        changed = self
        if lyrics_card is not None:
            calibration = _from_card(lyrics_card, self.lyrics.prior_strength)
            mood = BranchCalibration(temperature=lyrics_card.temperature)
            changed = replace(changed, lyrics=calibration, mood=mood)
        if audio_card is not None:
            changed = replace(changed, audio=_from_card(audio_card, self.audio.prior_strength))
        return changed

    def to_dict(self) -> dict[str, Any]:
        """Content of the settings file."""
        content = asdict(self)
        content["rule"] = self.rule.to_dict()
        # lists, as they come out of JSON
        plain: dict[str, Any] = json.loads(json.dumps(content))
        return {"version": SETTINGS_VERSION, **plain}

    @classmethod
    def from_dict(cls, content: Any, where: str = "fusion settings") -> FusionSettings:
        """Settings from the content of a settings file.

        Raises
        ------
        InputError
            If a field is missing, unknown or out of range; names ``where``.
        """
        try:
            fields = dict(content)
            version = fields.pop("version")
            if version not in (1, SETTINGS_VERSION):
                raise InputError(f"version {version!r}: expected {SETTINGS_VERSION}")
            rule = _first_rule(fields) if version == 1 else fields.pop("rule", None)
            if rule is not None:
                fields["rule"] = rule_from_dict(rule)
            if fields.get("relative") is not None:
                fields["relative"] = QuantileMap(**fields["relative"])
            for branch in ("lyrics", "audio", "mood"):
                if branch in fields:
                    fields[branch] = BranchCalibration(**fields[branch])
            return cls(**fields)
        except InputError as error:
            raise InputError(f"{where}: {error}") from error
        except (TypeError, ValueError, KeyError) as error:
            raise InputError(f"{where} are not fusion settings: {error!r}") from error

    def save(self, path: Path) -> None:
        """Write the settings as JSON, whole or not at all.

        Raises
        ------
        InputError
            If the file cannot be written.
        """
        text = json.dumps(self.to_dict(), ensure_ascii=False, indent=1)
        new = path.with_name(f".{path.name}.new")
        try:
            new.write_text(text + "\n", encoding="utf-8")
            new.replace(path)
        except OSError as error:
            with suppress(OSError):
                new.unlink()
            reason = error.strerror or error
            raise InputError(f"the settings cannot be written to {path}: {reason}") from error

    @classmethod
    def load(cls, path: Path | None = None) -> FusionSettings:
        """Read settings from JSON; ``None`` reads those of the embedded models.

        Raises
        ------
        InputError
            If the file cannot be read or holds no fusion settings.
        """
        where = str(path) if path is not None else f"fusion/{_EMBEDDED_NAME}"
        source = path if path is not None else files("fusion").joinpath(_EMBEDDED_NAME)
        try:
            content = json.loads(source.read_text(encoding="utf-8"))
        except OSError as error:
            reason = error.strerror or str(error)
            raise InputError(f"fusion settings {where} cannot be read: {reason}") from error
        except ValueError as error:
            raise InputError(f"fusion settings {where} are not JSON: {error}") from error
        return cls.from_dict(content, where)


def _first_rule(fields: dict[str, Any]) -> dict[str, Any]:
    """The rule of settings of version 1, taken out of them: a method and one weight."""
    method, weight = fields.pop("method", "mean"), float(fields.pop("lyrics_weight", 0.5))
    return (
        Product.of_weight(weight).to_dict()
        if method == "product"
        else {"method": method, "lyrics_weight": weight}
    )


def _from_card(card: ModelCard, prior_strength: float) -> BranchCalibration:
    return BranchCalibration(card.temperature, tuple(card.prior), prior_strength)
