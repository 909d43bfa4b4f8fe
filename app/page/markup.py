"""Text and links of users and catalogues, made safe to stand in the page's markup."""

from __future__ import annotations

import html
from typing import Final
from urllib.parse import urlsplit

# Gradio fills HTML components through JavaScript and Handlebars templates, whose
# marks must not be taken from a song's title either.
_TEMPLATE_MARKS: Final = str.maketrans(
    {"$": "&#36;", "{": "&#123;", "}": "&#125;", "`": "&#96;", "\\": "&#92;"}
)


def escaped(value: object) -> str:
    """A value as text that no HTML, attribute or template can take for its own."""
    return html.escape(str(value), quote=True).translate(_TEMPLATE_MARKS)


def safe_link(link: str | None) -> str | None:
    """The link if it is a web address (http or https, with a host), else ``None``. Not escaped."""
    if not link:
        return None
    cleaned = link.strip()
    try:
        parts = urlsplit(cleaned)
    except ValueError:
        return None
    return cleaned if parts.scheme in ("http", "https") and parts.netloc else None
