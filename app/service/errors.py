"""Failures as the HTTP interface tells them: one form, a code, a sentence."""

from __future__ import annotations

import logging
import re
from typing import TYPE_CHECKING, Final

from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse
from starlette.exceptions import HTTPException

from app.reading_pool import TooSlowError
from app.service.limits import RETRY_AFTER_S, BusyError, TooLargeError
from app.service.songs import PreparingError
from data_prep.errors import InputError, MaeumError

if TYPE_CHECKING:
    from fastapi import FastAPI, Request

_log = logging.getLogger("maeum.service")

STATUS: Final = {
    "invalid": 422,
    "unknown": 404,
    "not_allowed": 405,
    "too_large": 413,
    "busy": 503,
    "too_slow": 504,
    "unauthorised": 401,
    "unknown_host": 421,
    "unavailable": 503,
    "unexpected": 500,
}

# Folders of a path, up to its last name: where files lie is no business of who asks.
_FOLDERS: Final = re.compile(r"(?<![\w.:/])(?:[A-Za-z]:)?[\\/](?:[^\\/:*?\"<>|\s]+[\\/])+")


class UnknownError(InputError):
    """What was asked for is not there."""


def failure(code: str, message: str) -> JSONResponse:
    """The answer for a code of ``STATUS``."""
    headers = {}
    if code == "busy":
        headers["Retry-After"] = str(RETRY_AFTER_S)
    if code == "too_large":
        headers["Connection"] = "close"  # what is still on its way is not received
    if code == "unauthorised":
        headers["WWW-Authenticate"] = 'Basic realm="maeum", charset="UTF-8"'
    content = {"error": {"code": code, "message": message}}
    return JSONResponse(content, STATUS[code], headers)


def without_folders(message: str) -> str:
    """A message with every absolute path cut down to its last name."""
    return _FOLDERS.sub("", message)


def failure_of(error: Exception) -> JSONResponse:
    """The answer for an error; one that is not expected is logged with its traceback."""
    for kind, code in (
        (BusyError, "busy"),
        (PreparingError, "busy"),
        (TooLargeError, "too_large"),
        (TooSlowError, "too_slow"),
        (UnknownError, "unknown"),
        (InputError, "invalid"),
        (MaeumError, "unavailable"),
    ):
        if isinstance(error, kind):
            return failure(code, without_folders(str(error)))
    _log.error("a request could not be answered", exc_info=error)
    return failure("unexpected", "something went wrong that should not; it is in the log")


def tell_failures(app: FastAPI) -> None:
    """Have an app answer every failure in the one form."""

    def expected(_: Request, error: Exception) -> JSONResponse:
        return failure_of(error)

    def validation(_: Request, error: Exception) -> JSONResponse:
        assert isinstance(error, RequestValidationError)
        told = [
            f"{'.'.join(str(part) for part in each['loc'])}: {each['msg']}"
            for each in error.errors()[:5]
        ]
        return failure("invalid", "; ".join(told))

    def http(_: Request, error: Exception) -> JSONResponse:
        assert isinstance(error, HTTPException)
        codes = {status: code for code, status in STATUS.items() if code != "unavailable"}
        code = codes.get(error.status_code, "invalid" if error.status_code < 500 else "unavailable")
        answer = failure(code, str(error.detail))
        answer.status_code = error.status_code
        return answer

    app.add_exception_handler(MaeumError, expected)
    app.add_exception_handler(RequestValidationError, validation)
    app.add_exception_handler(HTTPException, http)
    app.add_exception_handler(Exception, expected)
