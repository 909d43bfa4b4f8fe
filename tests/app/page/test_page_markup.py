"""No text of a user or a catalogue becomes markup, a template or a link that runs something."""

from __future__ import annotations

import html

import pytest

from app.page.markup import escaped, safe_link

NASTY = (
    "<script>alert(1)</script>",
    '"><img src=x onerror=alert(1)>',
    "' onmouseover='x",
    "${constructor.constructor('x')()}",
    "{{#each value}}{{this}}{{/each}}",
    "`${1+1}`",
    "\\u003cscript>",
    "한 & 두 < 세",
)


@pytest.mark.parametrize("text", NASTY)
def test_escaped_text_has_no_mark_of_html_or_templates_and_reads_the_same(text: str) -> None:
    safe = escaped(text)
    for mark in ("<", ">", '"', "'", "${", "{{", "`", "\\"):
        assert mark not in safe
    assert html.unescape(safe) == text


@pytest.mark.parametrize(
    "link",
    [
        "javascript:alert(1)",
        " JavaScript:alert(1)",
        "data:text/html,x",
        "file:///etc/passwd",
        "//example.org/x",
        "https://",
        "example.org",
        "http://[bad",
        "",
        None,
    ],
)
def test_only_web_addresses_are_linked(link: str | None) -> None:
    assert safe_link(link) is None


@pytest.mark.parametrize("link", ["https://example.org/a?b=c&d=%20", "http://example.org"])
def test_web_addresses_stay_as_they_are(link: str) -> None:
    assert safe_link(f" {link} ") == link
