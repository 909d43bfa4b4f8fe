"""Look of the web page: theme, style sheet and what stands in the document's head.

One accent, warm paper and white cards by day, deep ink by night, and only fonts
that the reader's system has: nothing is fetched from the web.
"""

from __future__ import annotations

from importlib.resources import files
from typing import Any, Final

import gradio as gr

_FONTS: Final = (
    "Pretendard",
    "Apple SD Gothic Neo",
    "Segoe UI",
    "Malgun Gothic",
    "Noto Sans KR",
    "Noto Sans CJK KR",
    "system-ui",
    "sans-serif",
)
_MONO: Final = ("ui-monospace", "Consolas", "Noto Sans Mono", "monospace")

# Okabe & Ito (2008), and greys that differ in lightness as well. The second
# colour is the text that reads best on the first (contrast 4.5 or more).
PALETTE: Final[dict[str, tuple[str, str]]] = {
    "joy": ("#E69F00", "#241900"),
    "tension": ("#CC79A7", "#2A0F1D"),
    "calm": ("#009E73", "#00170F"),
    "sadness": ("#0072B2", "#FFFFFF"),
    "anger": ("#D55E00", "#1F0D00"),
    "neutral": ("#C3C7CD", "#23272E"),
}
"""Emotion → (its colour, the colour of text on it)."""

_DARK: Final[dict[str, tuple[str, str]]] = {
    "sadness": ("#3D9BD9", "#001725"),
    "neutral": ("#5C626D", "#FFFFFF"),
}


def theme() -> gr.themes.Base:
    """Gradio's components in the page's colours, system fonts only."""
    base = gr.themes.Base(
        primary_hue=gr.themes.Color(
            c50="#F6F3FB",
            c100="#ECE6F6",
            c200="#DACFEC",
            c300="#C0AFDE",
            c400="#A18BCB",
            c500="#8069B3",
            c600="#5F4A94",
            c700="#4E3C7C",
            c800="#3F3164",
            c900="#32284E",
            c950="#1F1833",
            name="plum",
        ),
        neutral_hue=gr.themes.colors.stone,
        radius_size=gr.themes.sizes.radius_lg,
        spacing_size=gr.themes.sizes.spacing_lg,
        text_size=gr.themes.sizes.text_md,
        font=[gr.themes.Font(name) for name in _FONTS],
        font_mono=[gr.themes.Font(name) for name in _MONO],
    )
    values: dict[str, Any] = {
        "body_background_fill": "#FAF8F5",
        "body_background_fill_dark": "#15131B",
        "body_text_color": "#26222E",
        "body_text_color_dark": "#ECE9F2",
        "body_text_color_subdued": "#6A6473",
        "body_text_color_subdued_dark": "#A9A2B6",
        "background_fill_primary": "#FFFFFF",
        "background_fill_primary_dark": "#1E1B26",
        "background_fill_secondary": "#F4F1EC",
        "background_fill_secondary_dark": "#262231",
        "border_color_primary": "#E8E3DB",
        "border_color_primary_dark": "#322D3E",
        "block_background_fill": "#FFFFFF",
        "block_background_fill_dark": "#1E1B26",
        "block_border_width": "1px",
        "block_radius": "18px",
        "block_shadow": "none",
        "block_label_background_fill": "transparent",
        "block_label_background_fill_dark": "transparent",
        "block_label_border_width": "0px",
        "block_label_text_color": "*body_text_color_subdued",
        "block_label_text_weight": "500",
        "block_title_text_color": "*body_text_color_subdued",
        "block_title_text_weight": "500",
        "input_background_fill": "#FFFFFF",
        "input_background_fill_dark": "#1E1B26",
        "input_border_color": "#E0DAD0",
        "input_border_color_dark": "#3A3448",
        "input_border_color_focus": "*primary_500",
        "input_border_color_focus_dark": "*primary_400",
        "input_border_width": "1px",
        "input_placeholder_color": "*body_text_color_subdued",
        "input_placeholder_color_dark": "*body_text_color_subdued",
        "input_shadow": "none",
        "input_shadow_focus": "0 0 0 3px rgba(128, 105, 179, .18)",
        "input_shadow_focus_dark": "0 0 0 3px rgba(161, 139, 203, .25)",
        "input_radius": "14px",
        "button_large_radius": "999px",
        "button_medium_radius": "999px",
        "button_small_radius": "999px",
        "button_large_text_weight": "600",
        "button_primary_background_fill": "*primary_600",
        "button_primary_background_fill_hover": "*primary_700",
        "button_primary_background_fill_dark": "*primary_300",
        "button_primary_background_fill_hover_dark": "*primary_200",
        "button_primary_text_color": "#FFFFFF",
        "button_primary_text_color_dark": "#1F1833",
        "button_secondary_background_fill": "#FFFFFF",
        "button_secondary_background_fill_dark": "#262231",
        "button_secondary_background_fill_hover": "*primary_50",
        "button_secondary_background_fill_hover_dark": "#322D3E",
        "button_secondary_border_color": "#E0DAD0",
        "button_secondary_border_color_dark": "#3A3448",
        "slider_color": "*primary_600",
        "slider_color_dark": "*primary_300",
        "layout_gap": "18px",
    }
    return base.set(**values)


def _variables(palette: dict[str, tuple[str, str]]) -> str:
    return "".join(f"--on-{n}:{on};--em-{n}:{fill};" for n, (fill, on) in palette.items())


def _emotions() -> str:
    return "".join(
        f".maeum-{n}{{background:var(--em-{n});color:var(--on-{n});fill:var(--em-{n})}}"
        f".maeum-edge-{n}{{--edge:var(--em-{n})}}"
        for n in PALETTE
    )


def style_sheet() -> str:
    """CSS of the page: the emotions' colours, and its style sheets."""
    sheet = "".join(_packaged(name) for name in ("page.css", "map.css", "lab.css"))
    return f":root{{{_variables(PALETTE)}}}.dark{{{_variables(_DARK)}}}{_emotions()}{sheet}"


MARK: Final = (
    '<svg viewBox="0 0 48 48" role="img" aria-label="maeum">'
    '<rect width="48" height="48" rx="14" fill="#5F4A94"/>'
    '<g stroke-width="4" stroke-linecap="round">'
    '<path stroke="#E69F00" d="M11 21v6"/><path stroke="#F0C9DE" d="M17 15v18"/>'
    '<path stroke="#5FD3AE" d="M23 19.500v13"/><path stroke="#8CC8EE" d="M29 12v24"/>'
    '<path stroke="#F59A5B" d="M35 18v12"/><path stroke="#D9D3E6" d="M40 22v4"/></g></svg>'
)
"""The project's mark: six bars in the emotions' colours, light enough for its ground."""


def head() -> str:
    """What stands in the document's head: facts for the browser, and the page's scripts."""
    scripts = "".join(f"<script>{_packaged(name)}</script>" for name in ("page.js", "map.js"))
    return (
        '<meta name="referrer" content="no-referrer">'
        f'<meta name="color-scheme" content="light dark">{scripts}'
    )


def _packaged(name: str) -> str:
    return files("app.page").joinpath(name).read_text(encoding="utf-8")
