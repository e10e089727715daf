"""What the README shows is what the examples do, and the examples run."""

from __future__ import annotations

import asyncio
import os
import re
import shutil
import sys
from collections.abc import Mapping
from pathlib import Path

from hub.providers.images.comfyui_graph import Graph
from tests.services.fixtures import require_or_skip
from tests.services.hub import PROJECT, Client, HubServer

EXAMPLES = PROJECT / "docs" / "examples"
OPENAI = (PROJECT / "docs" / "openai.md").read_text(encoding="utf-8")
README = (PROJECT / "README.md").read_text(encoding="utf-8")


async def run(*command: str, cwd: Path = PROJECT, variables: Mapping[str, str] | None = None) -> str:
    process = await asyncio.create_subprocess_exec(
        *command,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.STDOUT,
        cwd=cwd,
        env={**os.environ, **(variables or {})},
    )
    output, _ = await asyncio.wait_for(process.communicate(), 60)
    assert process.returncode == 0, output.decode()
    return output.decode()


async def test_the_example_with_curl_shows_a_whole_reply(hub: HubServer) -> None:
    if shutil.which("curl") is None:
        require_or_skip("curl", "curl is not installed; install it with: apt-get install curl")
    output = await run("sh", str(EXAMPLES / "first_talk.sh"), hub.url)
    assert "event: response.output_text.delta" in output
    assert "event: response.completed" in output
    assert "Good morning! Who are you?" in output


async def test_the_example_in_python_shows_a_whole_reply(hub: HubServer) -> None:
    output = await run(sys.executable, str(EXAMPLES / "first_talk.py"), hub.url)
    assert "Good morning! Who are you?" in output
    assert output.endswith("[response.completed]\n")


async def test_the_example_with_openais_sdk_shows_three_answers(hub: HubServer, client: Client) -> None:
    await client.companion()
    output = await run(sys.executable, str(EXAMPLES / "openai_sdk.py"), hub.url, client.token)
    for said in ("Good morning! Who are you?", "What grows in your garden?", "Tell me more."):
        assert said in output
    (snippet,) = re.findall(r"```python\n(.*?)```", OPENAI, re.DOTALL)
    assert snippet in (EXAMPLES / "openai_sdk.py").read_text(encoding="utf-8")


async def test_the_example_of_a_picture_saves_it_and_makes_it_again(hub: HubServer, tmp_path: Path) -> None:
    if shutil.which("curl") is None:
        require_or_skip("curl", "curl is not installed; install it with: apt-get install curl")
    file = tmp_path / "mira.jpg"
    output = await run("sh", str(EXAMPLES / "first_picture.sh"), hub.url, str(file), cwd=tmp_path)
    assert "again: completed, seed 7" in output
    assert file.read_bytes().startswith(b"\xff\xd8\xff")


def test_the_workflow_of_the_example_can_be_read() -> None:
    assert not Graph.read(EXAMPLES / "comfyui_workflow.json").asks_for_model


async def test_the_example_of_the_readme_has_a_companion_answer_twice(hub: HubServer, client: Client) -> None:
    await client.companion()
    known = {"OPENAI_BASE_URL": f"{hub.url}/v1", "OPENAI_API_KEY": client.token}
    output = await run(sys.executable, str(EXAMPLES / "openai_talk.py"), variables=known)
    for said in ("Good morning! Who are you?", "What do you like best?"):
        assert f"> {said}\n" in output
        assert f"You said: “{said}”" in output  # the model of the tests repeats what was said
    (snippet,) = re.findall(r"```python\n(.*?)```", README, re.DOTALL)
    assert (EXAMPLES / "openai_talk.py").read_text(encoding="utf-8").endswith(snippet)


async def test_the_example_of_sql_asks_the_database_that_is_set(hub: HubServer) -> None:
    words = ["-Atc", "SELECT count(*) > 20 FROM migration WHERE app_name = 'hub'"]
    settings = {"HUB_DATABASE_URL": hub.settings["HUB_DATABASE_URL"], "PYTHON": sys.executable}
    assert await run("sh", str(EXAMPLES / "psql.sh"), *words, variables=settings) == "t\n"
