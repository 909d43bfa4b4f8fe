"""The page within a service: private, offline, and by itself.

Telemetry, run history and monitoring are off, no file of this machine is given away, and fonts
and scripts come from this server alone.
"""

from __future__ import annotations

from typing import Any

import gradio as gr
from fastapi import FastAPI

from app.page.page import build_page
from app.page.style import head, style_sheet, theme
from app.service.answers import Answers
from app.service.options import ServiceOptions
from app.service.speech import SpeechReader


def mount_page(
    app: FastAPI,
    answers: Answers,
    options: ServiceOptions,
    *,
    speech: SpeechReader | None = None,
) -> gr.Blocks:
    """Mount the page at the root of a service.

    Parameters
    ----------
    app
        The service, with all of its own routes.
    answers
        What the page asks.
    options
        Limits and doors of the service.
    speech
        Reads a mood that is spoken; ``None`` where there is no model for it.
    """
    page = build_page(
        answers, files=options.files, speech=speech, max_upload_mb=options.max_upload_mb
    )
    gr.mount_gradio_app(app, page, path="/", **mount_options(options))
    return page


def mount_options(options: ServiceOptions) -> dict[str, Any]:
    """What :func:`gradio.mount_gradio_app` needs for it."""
    return {
        "server_name": options.host,
        "server_port": options.port,
        "theme": theme(),
        "css": style_sheet(),
        "head": head(),
        "max_file_size": f"{options.max_upload_mb}mb",
        # Its panel opens from the page's own footer; the style sheet hides Gradio's.
        "footer_links": ["api"],
        "allowed_paths": [],
        "run_history": False,
        "enable_monitoring": False,
        "mcp_server": options.mcp,
        "pwa": False,
        "ssr_mode": False,
        "show_error": False,
        "root_path": options.root_path or None,
    }
