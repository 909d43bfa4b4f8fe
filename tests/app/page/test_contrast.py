"""Contrast of the page's texts on their grounds (WCAG 2.2, level AA: 4.5 or more)."""

from __future__ import annotations

import re

import pytest

pytest.importorskip("gradio")

from app.page.style import PALETTE, style_sheet, theme

LEAST = 4.5
MODES = ("light", "dark")

TEXTS = ("body_text_color", "body_text_color_subdued", "block_label_text_color",
         "block_title_text_color", "block_info_text_color")  # fmt: skip
GROUNDS = ("body_background_fill", "background_fill_primary", "background_fill_secondary",
           "block_background_fill", "input_background_fill")  # fmt: skip
PAIRS = [
    *((text, ground) for text in TEXTS for ground in GROUNDS),
    ("button_primary_text_color", "button_primary_background_fill"),
    ("button_primary_text_color", "button_primary_background_fill_hover"),
    ("button_secondary_text_color", "button_secondary_background_fill"),
    ("button_secondary_text_color", "button_secondary_background_fill_hover"),
    ("input_placeholder_color", "input_background_fill"),
]
"""Of values of the theme: the text, and what it stands on."""

SHEET_PAIRS = {
    "light": [
        ("primary_600", "background_fill_primary"),  # .maeum-listen, summaries
        ("primary_600", "primary_50"),  # .maeum-listen:hover
        ("body_text_color", "primary_50"),  # .maeum-quiet:hover
        ("primary_700", "button_secondary_background_fill_hover"),  # #maeum-chips button:hover
        ("primary_800", "primary_100"),  # .maeum-move.is-new
        ("#FFFFFF", "primary_600"),  # #maeum-skip, .maeum-judge[aria-pressed=true]
        ("body_background_fill", "body_text_color"),  # .maeum-said
    ],
    "dark": [
        ("primary_300", "background_fill_primary"),
        ("primary_300", "background_fill_secondary"),
        ("body_text_color", "background_fill_secondary"),
        ("primary_200", "button_secondary_background_fill_hover"),
        ("primary_100", "primary_800"),
        ("#1F1833", "primary_300"),
        ("#FFFFFF", "primary_600"),
        ("body_background_fill", "body_text_color"),
    ],
}
"""What the style sheets put on each other besides."""


def luminance(colour: str) -> float:
    """Relative luminance of ``#RRGGBB``."""
    channels = [int(colour[i : i + 2], 16) / 255 for i in (1, 3, 5)]
    r, g, b = (c / 12.92 if c <= 0.04045 else ((c + 0.055) / 1.055) ** 2.4 for c in channels)
    return 0.2126 * r + 0.7152 * g + 0.0722 * b


def contrast(one: str, other: str) -> float:
    darker, lighter = sorted((luminance(one), luminance(other)))
    return (lighter + 0.05) / (darker + 0.05)


def colour(name: str, mode: str) -> str:
    """A value of the theme as ``#RRGGBB``, its references followed."""
    if name.startswith("#"):
        return name.upper()
    values = theme()
    found = getattr(values, f"{name}_dark", None) if mode == "dark" else None
    found = found or getattr(values, name)
    if found.startswith("*"):
        return colour(found[1:], mode)
    named = {"white": "#FFFFFF", "black": "#000000"}.get(found, found)
    assert re.fullmatch("#[0-9A-Fa-f]{6}", named), f"{name}: {found}"
    return named


def palette(mode: str) -> dict[str, tuple[str, str]]:
    """Emotion → (its colour, text on it), as the style sheet gives them."""
    sheet = style_sheet()
    rules = re.findall(r"(?::root|\.dark)\{([^}]*)\}", sheet)
    own = dict(re.findall(r"--((?:on|em)-\w+):(#\w{6})", rules[0]))
    if mode == "dark":
        own |= dict(re.findall(r"--((?:on|em)-\w+):(#\w{6})", rules[1]))
    return {name: (own[f"em-{name}"], own[f"on-{name}"]) for name in PALETTE}


def test_contrast_is_that_of_the_standard() -> None:
    assert contrast("#FFFFFF", "#000000") == pytest.approx(21.0)
    assert contrast("#777777", "#FFFFFF") == pytest.approx(4.48, abs=0.005)
    assert contrast("#767676", "#FFFFFF") == pytest.approx(4.54, abs=0.005)


@pytest.mark.parametrize("mode", MODES)
def test_texts_can_be_read_on_their_grounds(mode: str) -> None:
    found = {
        (text, ground): contrast(colour(text, mode), colour(ground, mode))
        for text, ground in PAIRS + SHEET_PAIRS[mode]
    }
    assert {pair: round(ratio, 2) for pair, ratio in found.items() if ratio < LEAST} == {}


@pytest.mark.parametrize("mode", MODES)
def test_names_can_be_read_on_their_emotions(mode: str) -> None:
    found = {name: contrast(on, fill) for name, (fill, on) in palette(mode).items()}
    assert {name: round(ratio, 2) for name, ratio in found.items() if ratio < LEAST} == {}


def test_no_text_is_faded() -> None:
    """Its colour would be another than the one that is looked at here."""
    faded = re.findall(r"(?<![-\w])opacity:\s*(0?\.\d+)", style_sheet())
    assert faded == []


def test_dark_has_colours_of_its_own() -> None:
    assert palette("light") == PALETTE
    assert palette("dark") != PALETTE
    assert colour("body_text_color", "dark") != colour("body_text_color", "light")
