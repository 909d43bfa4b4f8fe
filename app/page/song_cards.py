"""Songs that were found, a card each: what they say and sound like, why, and what one thinks of it.

What the cards' buttons do is in ``page.js``: a judgement goes to the service with the token of
the list, a wish for similar songs to the page.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final
from urllib.parse import urlencode

from app.page.cards import branch_bars, empty_state
from app.page.markup import escaped, safe_link
from app.page.texts import Language, text
from data_prep.taxonomy import top_emotion
from fusion.recommendation import Recommendation

if TYPE_CHECKING:
    from app.service.answers import Answer

API: Final = "api/v1"
"""Where the service is, seen from the page."""

_ARROW: Final = (
    '<svg viewBox="0 0 16 16" aria-hidden="true"><path d="M5 3.5h7.5V11M12 4 4 12"/></svg>'
)


_THUMB: Final = (
    '<svg viewBox="0 0 24 24" aria-hidden="true"><path d="M7 10.5v9.500H4v-9.500zM7 11l4.200-7.500'
    "c1.600 0 2.400 1.200 2.100 2.800L12.700 9.500h5.300c1.400 0 2.300 1.200 2 2.500l-1.500 6"
    'c-.3 1.200-1.200 2-2.500 2H7"/></svg>'
)


def song_cards(answer: Answer, language: Language, *, heading: str, files: bool) -> str:
    """The songs of an answer, or a card that says that there are none.

    Parameters
    ----------
    heading
        Above them.
    files
        Whether recordings of the catalogue are played here.
    """
    found = answer.recommendations
    if not found:
        return empty_state(
            "none", text(language, "results_none_title"), text(language, "results_none_text")
        )
    cards = "".join(
        _song_card(each, language, is_judged=answer.token is not None, files=files)
        for each in found
    )
    said = {
        f"data-{name}": text(language, f"judge_{name}") for name in ("thanks", "undone", "failed")
    }
    told = "".join(f' {name}="{escaped(value)}"' for name, value in said.items())
    token = escaped(answer.token or "")
    return (
        f'<section class="maeum-results" data-list="{token}"{told}><div class="maeum-results-head">'
        f"<h2>{escaped(heading)}</h2>{_exports(found, language)}</div>"
        f'<ol class="maeum-cards">{cards}</ol>'
        '<p class="maeum-said" role="status" aria-live="polite"></p></section>'
    )


def _exports(found: list[Recommendation], language: Language) -> str:
    links = []
    for form in ("m3u8", "csv"):
        query = urlencode([("format", form), *(("id", each.song.id) for each in found)])
        label = escaped(text(language, f"export_{form}"))
        links.append(
            f'<a class="maeum-quiet" href="{escaped(f"{API}/playlist?{query}")}" '
            f'download="maeum.{form}">{label}</a>'
        )
    return f'<p class="maeum-exports">{"".join(links)}</p>'


def _song_card(
    recommendation: Recommendation, language: Language, *, is_judged: bool, files: bool
) -> str:
    song = recommendation.song
    title = song.title or text(language, "untitled")
    about = [song.artist or text(language, "unknown_artist")]
    about += [str(fact).replace(";", ", ") for fact in (song.year, song.genre) if fact]
    score = text(language, "score", percent=round(100 * recommendation.score))
    top = top_emotion(recommendation.fused.distribution)
    song_id = escaped(song.id)
    actions = "".join(_judge(sign, title, language) for sign in (1, -1)) if is_judged else ""
    more = escaped(text(language, "more_like"))
    actions += (
        f'<button type="button" class="maeum-quiet" data-like="{song_id}" '
        f'aria-label="{escaped(text(language, "more_like_of", title=title))}">{more}</button>'
    )
    player = ""
    if files and song.path is not None:
        source = escaped(f"{API}/audio?{urlencode({'id': song.id})}")
        label = escaped(text(language, "play", title=title))
        player = (
            f'<audio class="maeum-player" controls preload="none" src="{source}" '
            f'aria-label="{label}"></audio>'
        )
    else:
        link = safe_link(song.link)
        if link is not None:
            label = escaped(text(language, "listen_to", title=title))
            actions += (
                f'<a class="maeum-listen" href="{escaped(link)}" target="_blank" '
                f'rel="noopener noreferrer" aria-label="{label}">'
                f"{escaped(text(language, 'listen'))}{_ARROW}</a>"
            )
    return (
        f'<li class="maeum-card maeum-edge-{top}" data-song="{song_id}">'
        f'<div class="maeum-card-head"><span class="maeum-rank">{recommendation.rank}</span>'
        f'<div class="maeum-card-title"><h3>{escaped(title)}</h3>'
        f"<p>{escaped(' · '.join(about))}</p></div>"
        f'<span class="maeum-score">{escaped(score)}</span></div>'
        f"{branch_bars(recommendation.fused, language)}{player}"
        f'<div class="maeum-card-foot"><p class="maeum-why">'
        f"{escaped(recommendation.why_in(language))}</p>"
        f'<div class="maeum-actions">{actions}</div></div></li>'
    )


def _judge(sign: int, title: str, language: Language) -> str:
    name = "good" if sign > 0 else "bad"
    label = escaped(text(language, f"judge_{name}", title=title))
    return (
        f'<button type="button" class="maeum-judge" data-verdict="{sign}" aria-pressed="false" '
        f'aria-label="{label}" title="{label}">{_THUMB}</button>'
    )
