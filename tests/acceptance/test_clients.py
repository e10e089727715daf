"""The clients of docs/clients.md are the files in docs/examples, and they work."""

from __future__ import annotations

import asyncio
import re
import sys
from pathlib import Path

import pytest

from tests.services.hub import PASSWORD, PROJECT, Client, HubServer
from tests.services.programs import program
from tools.fill_examples import filled

EXAMPLES = PROJECT / "docs" / "examples"
PAGE = PROJECT / "docs" / "clients.md"
JPEG = b"\xff\xd8\xff"
PICTURE = re.compile(r"^picture: .*, (\d+) bytes in mira\.jpg$", re.MULTILINE)


async def run(folder: Path, *command: str) -> str:
    """Run a client in a folder of its own, check the picture that it leaves there, and return its words."""
    process = await asyncio.create_subprocess_exec(
        *command, stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.STDOUT, cwd=folder
    )
    try:
        output, _ = await asyncio.wait_for(process.communicate(), 60)
    finally:
        if process.returncode is None:
            process.kill()
    words = output.decode()
    assert process.returncode == 0, words
    size = PICTURE.search(words)
    assert size, words
    picture = (folder / "mira.jpg").read_bytes()
    assert picture.startswith(JPEG)
    assert len(picture) == int(size[1])
    return words


async def test_the_client_with_curl(hub: HubServer, tmp_path: Path) -> None:
    program("curl")
    words = await run(tmp_path, "sh", str(EXAMPLES / "client.sh"), hub.url)
    assert "event: response.output_text.delta" in words
    assert "event: response.completed" in words


async def test_the_client_with_curl_signs_in_again(client: Client, hub: HubServer, tmp_path: Path) -> None:
    program("curl")
    name = str(client.user["username"])
    await run(tmp_path, "sh", str(EXAMPLES / "client.sh"), hub.url, name, PASSWORD)
    assert len((await client.http.get("/api/companions")).json()["items"]) == 1


async def test_the_client_in_python(client: Client, hub: HubServer, tmp_path: Path) -> None:
    name = str(client.user["username"])
    words = await run(tmp_path, sys.executable, str(EXAMPLES / "client.py"), hub.url, name, PASSWORD)
    assert words.count("[response.completed]") == 2
    assert "Show me!" in words  # the model of the tests repeats what was said


async def test_the_client_in_python_shows_what_is_refused(hub: HubServer, tmp_path: Path) -> None:
    command = [sys.executable, str(EXAMPLES / "client.py"), hub.url, "nobody_at_all", PASSWORD]
    with pytest.raises(AssertionError, match="The login or the password is wrong: Check both"):
        await run(tmp_path, *command)


async def test_the_client_in_javascript(client: Client, hub: HubServer, tmp_path: Path) -> None:
    node = program("node")
    name = str(client.user["username"])
    socket = await _socket_option(node)
    words = await run(tmp_path, node, *socket, str(EXAMPLES / "client.mjs"), hub.url, name, PASSWORD)
    assert "What grows here?" in words
    if socket:
        assert words.count("[response.completed]") == 2
        assert "And by the pond?" in words


async def _socket_option(node: str) -> list[str]:
    """Return what makes a Node between 20 and 22 have WebSockets, too."""
    process = await asyncio.create_subprocess_exec(
        node,
        "--experimental-websocket",
        "-e",
        "process.exit(globalThis.WebSocket ? 0 : 1)",
        stderr=asyncio.subprocess.DEVNULL,
    )
    return ["--experimental-websocket"] if await process.wait() == 0 else []


def test_the_page_shows_the_clients_as_they_are() -> None:
    text = PAGE.read_text(encoding="utf-8")
    assert filled(PAGE) == text, "run: make documents"
    assert len(re.findall(r"^<!-- example:", text, re.MULTILINE)) == 3


@pytest.mark.parametrize(
    "target", re.findall(r"\]\(((?!http|#)[^)]+)\)", (PROJECT / "docs" / "clients.md").read_text())
)
def test_the_page_links_to_what_is_there(target: str) -> None:
    assert (PROJECT / "docs" / target).exists()
