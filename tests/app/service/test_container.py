"""The container's recipe fits what it is made of, and how the service is offered in one."""

from __future__ import annotations

import asyncio
import json
import re
import shlex
import tomllib
from pathlib import Path
from typing import Any

import pytest
import typer.main

from app.service.options import ServiceOptions, passwords_of
from app.service.protection import OPEN_PATHS, Protection

ROOT = Path(__file__).resolve().parents[3]
GUIDE = (ROOT / "docs/deployment.md").read_text(encoding="utf-8")


def steps() -> list[tuple[str, str]]:
    """Instructions of the Dockerfile, with continued lines joined."""
    text = (ROOT / "Dockerfile").read_text(encoding="utf-8")
    lines = [line for line in text.splitlines() if line and not line.startswith("#")]
    joined = re.sub(r"\\\n\s*", "", "\n".join(lines))
    return [
        (name, rest.strip()) for name, _, rest in (s.partition(" ") for s in joined.split("\n"))
    ]


def of(name: str) -> list[str]:
    return [rest for kind, rest in steps() if kind == name]


def options_of(command: str) -> set[str]:
    import app.cli

    found = typer.main.get_command(app.cli.app).commands[command]  # type: ignore[attr-defined]
    return {name for each in found.params for name in (*each.opts, *each.secondary_opts)}


def test_all_that_is_copied_is_there_and_let_through() -> None:
    let_through = (ROOT / ".dockerignore").read_text(encoding="utf-8").splitlines()
    copied = [
        source
        for line in of("COPY")
        if not line.startswith("--from")
        for source in line.split()[:-1]
    ]
    assert {f"!{source}" for source in copied} == {x for x in let_through if x.startswith("!")}
    assert all((ROOT / source).exists() for source in copied)
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))
    packages = project["tool"]["setuptools"]["packages"]
    assert {name.partition(".")[0] for name in packages} <= set(copied)
    (extras,) = (line.removeprefix("EXTRAS=") for line in of("ARG") if "EXTRAS" in line)
    assert set(extras.split(",")) <= project["project"]["optional-dependencies"].keys()
    assert not set(extras.split(",")) & {"train", "dev", "adapters"}


def test_the_container_has_no_root_and_starts_the_service() -> None:
    assert of("USER") == ["10001:10001"]
    assert [name for name, _ in steps()].index("USER") > [n for n, _ in steps()].index("VOLUME")
    assert json.loads(of("ENTRYPOINT")[0]) == ["maeum"]
    command, *given = json.loads(of("CMD")[0])
    assert command == "serve"
    assert {word for word in given if word.startswith("--")} <= options_of("serve")
    (check,) = of("HEALTHCHECK")
    port = given[given.index("--port") + 1]
    assert of("EXPOSE") == [port]
    assert f"'127.0.0.1', {port}," in check
    assert any(f"'{path}'" in check for path in OPEN_PATHS)
    script = json.loads(check.partition("CMD ")[2])[-1]
    compile(script, "HEALTHCHECK", "exec")


def test_base_images_have_a_name_and_no_registry() -> None:
    assert {line.split()[0] for line in of("FROM")} == {"python:${PYTHON}-slim"}


def test_commands_of_the_guide_are_commands() -> None:
    blocks = re.findall(r"```sh\n(.*?)```", GUIDE, flags=re.DOTALL)
    lines = [line for block in blocks for line in block.replace("\\\n", " ").splitlines()]
    called = []
    for line in lines:
        words = shlex.split(line, comments=True)
        if "maeum" not in words or words[:2] == ["docker", "build"]:
            continue
        # in a container this is the name of the image, and the command may be that of CMD
        command, *given = words[words.index("maeum") + 1 :] or json.loads(of("CMD")[0])
        known = options_of(command)
        for word in given:
            if word.startswith("-"):
                assert word.partition("=")[0] in known, line
        called.append(command)
    assert {"serve", "index"} <= set(called)


def test_every_option_of_the_service_is_in_the_guide() -> None:
    for option in options_of("serve") - {"--help"}:
        assert option in GUIDE, option


@pytest.mark.parametrize("root_path", ["", "/maeum"])
def test_only_health_is_open(root_path: str) -> None:
    """As the server has it: the root path stands before every path."""

    def status_of(path: str) -> int:
        sent: list[dict[str, Any]] = []

        async def app(scope: Any, receive: Any, send: Any) -> None:
            await send({"type": "http.response.start", "status": 200, "headers": []})

        async def receive() -> dict[str, Any]:
            return {"type": "http.disconnect"}

        async def send(message: Any) -> None:
            sent.append(message)

        options = ServiceOptions(host="0.0.0.0", passwords=passwords_of(["mina:secret"]))
        scope = {
            "type": "http",
            "method": "GET",
            "path": root_path + path,
            "root_path": root_path,
            "headers": [],
        }
        asyncio.run(Protection(app, options)(scope, receive, send))
        return int(sent[0]["status"])

    assert status_of("/health") == 200
    for path in ("/", "/ready", "/metrics", "/health/", "//health", "/maeum/health"):
        assert status_of(path) == 401, path
