"""How the page is served: private, offline, and by itself.

Telemetry, run history and monitoring are off, fonts and scripts come from this server
alone, and a content security policy forbids the browser any other address.
"""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, Any, Final

from starlette.datastructures import MutableHeaders
from starlette.middleware import Middleware

from app.page.page import build_page
from app.page.parts import MAX_UPLOAD_MB
from app.page.style import HEAD, style_sheet, theme
from data_prep.errors import InputError

if TYPE_CHECKING:
    from starlette.types import ASGIApp, Message, Receive, Scope, Send

    from fusion.analysis import SongAnalyser

_POLICY: Final = (
    "default-src 'self'; script-src 'self' 'unsafe-inline' 'unsafe-eval' blob:; "
    "style-src 'self' 'unsafe-inline'; img-src 'self' data: blob:; media-src 'self' data: blob:; "
    "font-src 'self' data:; connect-src 'self' data: blob:; worker-src 'self' blob:; "
    "object-src 'none'; base-uri 'self'; form-action 'self'; frame-ancestors 'self'"
)


class SecurityHeaders:
    """ASGI middleware: the browser may fetch from this server only."""

    def __init__(self, app: ASGIApp) -> None:
        self.app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        async def with_headers(message: Message) -> None:
            if message["type"] == "http.response.start":
                headers = MutableHeaders(scope=message)
                headers["Content-Security-Policy"] = _POLICY
                headers["X-Content-Type-Options"] = "nosniff"
                headers["Referrer-Policy"] = "no-referrer"
            await send(message)

        await self.app(scope, receive, with_headers if scope["type"] == "http" else send)


def launch_options() -> dict[str, Any]:
    """What :meth:`gradio.Blocks.launch` needs for the page to be private, offline and itself."""
    return {
        "theme": theme(),
        "css": style_sheet(),
        "head": HEAD,
        "max_file_size": f"{MAX_UPLOAD_MB}mb",
        # Its panel opens from the page's own footer; the style sheet hides Gradio's.
        "footer_links": ["api"],
        "run_history": False,
        "enable_monitoring": False,
        "mcp_server": False,
        "pwa": False,
        "share": False,
        "ssr_mode": False,
        "show_error": False,
        "quiet": True,
        "app_kwargs": {"middleware": [Middleware(SecurityHeaders)]},
    }


def serve(
    catalogue_url: str,
    host: str = "127.0.0.1",
    port: int = 7860,
    *,
    analyser: SongAnalyser | None = None,
) -> None:
    """Serve the page until it is interrupted; parameters as :func:`build_page` has them.

    Raises
    ------
    CatalogueError
        If the catalogue cannot be opened.
    InputError
        If the port is taken or cannot be used.
    """
    page = build_page(catalogue_url, analyser=analyser)
    try:
        page.launch(
            server_name=host, server_port=port, prevent_thread_lock=True, **launch_options()
        )
    except OSError as error:
        raise InputError(
            f"{host}:{port} cannot be used ({error}): choose another with --port or --host"
        ) from error
    print(f"maeum: http://{host}:{port}  (Ctrl+C ends it)", flush=True)
    if host not in ("127.0.0.1", "localhost", "::1"):
        print("maeum: whoever can reach this machine can use the page", file=sys.stderr)
    page.block_thread()
