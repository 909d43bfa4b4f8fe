"""The rows of the lyric ablation: the base, and what differs from it in one thing each.

The base reads with the head ``architecture2``. In trials on these texts, an encoder
of this size under ``cls``, which sees the first token alone, still gave one emotion
to every text after 564 steps, at rates of 4e-4, 1e-3 and 2e-3. On such a base no
other row could show anything.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final, Literal

from lyrics_model.tuning_specification import HeadName, SourceName

StageName = Literal["colloquial", "emotion", "lyrics"]

IN_ORDER: Final[tuple[StageName, ...]] = ("colloquial", "emotion", "lyrics")
TESTS: Final[dict[SourceName, str]] = {"kote": "KOTE", "kpoem": "KPoEM"}
"""Sources that every run is judged on, with the names that the table gives them."""

LINEAR_LIMITED: Final = "linear, the same texts as the base"
LINEAR_ALL: Final = "linear, all training texts"


@dataclass(frozen=True)
class Variant:
    """One way of making the model.

    Attributes
    ----------
    name
        In the table.
    group
        Of the rows that it stands with.
    change
        What is judged when this row is compared with the base, in words.
    in_base
        Whether it is the base that has ``change``, and not this row.
    stages
        Of pretraining, in order; none for random weights.
    frozen
        Whether the head alone is trained.
    """

    name: str
    group: str
    change: str
    in_base: bool
    stages: tuple[StageName, ...] = IN_ORDER
    frozen: bool = False
    head: HeadName = "architecture2"
    labels: tuple[SourceName, ...] = ("kote", "kpoem")


BASE: Final = Variant("base", "base", "", in_base=False)

GROUPS: Final[dict[str, str]] = {
    "pretraining": "all stages in order",
    "encoder": "full",
    "head": "architecture2",
    "labels": "kote + kpoem",
}
"""Groups of rows, with what the base is among them."""

VARIANTS: Final[tuple[Variant, ...]] = (
    BASE,
    Variant("none", "pretraining", "Pretraining in all stages", in_base=True, stages=()),
    Variant(
        "one stage (colloquial)",
        "pretraining",
        "Three stages in place of one of the same length",
        in_base=True,
        stages=("colloquial",),
    ),
    Variant(
        "reverse order",
        "pretraining",
        "Going towards the lyrics, not away from them,",
        in_base=True,
        stages=IN_ORDER[::-1],
    ),
    Variant(
        "frozen",
        "encoder",
        "Training the encoder, not its head alone,",
        in_base=True,
        frozen=True,
    ),
    Variant(
        "cls",
        "head",
        "The head architecture2 in place of cls",
        in_base=True,
        head="cls",
    ),
    Variant(
        "architecture1",
        "head",
        "The head architecture2 in place of architecture1",
        in_base=True,
        head="architecture1",
    ),
    Variant(
        "kote",
        "labels",
        "KPoEM's labels beside those of KOTE",
        in_base=True,
        labels=("kote",),
    ),
    Variant(
        "kote + kpoem + goemotions-ko",
        "labels",
        "Labels of GoEmotions (ko) beside those of KOTE and KPoEM",
        in_base=False,
        labels=("kote", "kpoem", "goemotions-ko"),
    ),
)
