"""What keeps the hub from starting is said once, clearly, with what to do; nothing is left behind."""

from __future__ import annotations

import os
import socket
from pathlib import Path

import pytest

from tests.services.world import Done, nothing_left, run_hub

AS_ROOT = os.geteuid() == 0


async def refused(folder: Path, role: str = "up", **settings: str) -> Done:
    """Start a hub that must refuse; check what is common to all refusals."""
    done = await run_hub(folder, role, **settings)
    assert done.code not in (0, None)
    assert done.code > 0, "it ends by itself, not by a signal"
    assert done.out == ""
    assert "Traceback" not in done.err
    assert "\x1b" not in done.err
    await nothing_left(folder)
    return done


def one_line(done: Done, *words: str) -> None:
    assert done.err.startswith("hub: ")
    assert len(done.err.splitlines()) == 1, done.err
    for word in words:
        assert word in done.err


def framed(done: Done, *words: str) -> list[str]:
    lines = done.err.splitlines()
    assert lines[0] == lines[2] == lines[-1]
    assert lines[0].strip("+-") == ""
    assert "ENVIRONMENT VALIDATION FAILED" in lines[1]
    for word in words:
        assert word in done.err
    return lines


async def test_a_taken_port(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = str(taken.getsockname()[1])
        done = await refused(tmp_path, HUB_PORT=port)
    one_line(done, f"Port {port} on 127.0.0.1 is taken", "HUB_PORT")
    assert not (tmp_path / "data/postgres").exists(), "nothing was begun"


async def test_an_address_of_another_machine(tmp_path: Path) -> None:
    one_line(await refused(tmp_path, HUB_HOST="192.0.2.1", HUB_PORT="8001"), "192.0.2.1", "HUB_HOST")


@pytest.mark.parametrize("role", ["up", "worker"])
async def test_a_data_folder_that_cannot_be_written(tmp_path: Path, role: str) -> None:
    data = tmp_path / "data"
    if AS_ROOT:  # whom no mode keeps out
        data.write_text("a file in its place")
    else:
        data.mkdir(mode=0o500)
    one_line(await refused(tmp_path, role), str(data), "HUB_DATA_DIR")


@pytest.mark.parametrize("role", ["up", "worker"])
async def test_a_mistake_in_the_prompts(tmp_path: Path, role: str) -> None:
    prompts = tmp_path / "prompts"
    prompts.mkdir()
    (prompts / "rules.txt").write_text("Be kind, $polcy.")
    done = await refused(tmp_path, role, HUB_PROMPTS_DIR=str(prompts))
    one_line(done, "HUB_PROMPTS_DIR", str(prompts / "rules.txt"), "$polcy", "$policy")
    assert not (tmp_path / "data/postgres").exists(), "nothing was begun"


async def test_a_damaged_settings_file(tmp_path: Path) -> None:
    config = tmp_path / "hub.toml"
    config.write_text('port = 8000\nllm_url = "http://127.0.0.1:1/v1\n')
    done = await refused(tmp_path, HUB_CONFIG_FILE=str(config))
    framed(done, str(config), "line 2")
    assert done.code == 2


async def test_an_unknown_name(tmp_path: Path) -> None:
    framed(await refused(tmp_path, HUB_LLM_UR="x"), "HUB_LLM_UR", "HUB_LLM_URL")


async def test_all_bad_settings_at_once(tmp_path: Path) -> None:
    (tmp_path / ".env").write_text("HUB_TOKEN_DAYS=0\n")
    secret = "canary-of-a-secret-in-the-wrong-place"
    done = await refused(
        tmp_path,
        HUB_ENV="production",
        HUB_PORT="eighty",
        HUB_DATABASE_URL=f"mysql://hub:{secret}@db/hub",
        HUB_LLM_URL="",
        HUB_LIMITS="maybe",
        HUB_COLOUR="green",
    )
    names = ("PORT", "DATABASE_URL", "LLM_URL", "LIMITS", "COLOUR", "TOKEN_DAYS", "BROKER_URL", "SECRET_KEY")
    framed(done, *(f"HUB_{name}" for name in names))
    assert secret not in done.err


async def test_a_database_that_refuses_the_login(tmp_path: Path, postgres: str) -> None:
    name, _, rest = postgres.partition("hub:")
    wrong = f"{name}hub:canary-of-a-wrong-password@{rest.partition('@')[2]}"
    done = await refused(tmp_path, "web", HUB_DATABASE_URL=wrong)
    one_line(done, "HUB_DATABASE_URL", "password")
    assert "canary" not in done.err


async def test_commands_refuse_in_the_same_way(tmp_path: Path) -> None:
    for words in (["migrate"], ["admin", "create", "someone@example.org", "--password-stdin"]):
        done = await run_hub(tmp_path, *words, given="short\n", HUB_PORT="eighty")
        assert done.code == 2
        framed(done, "HUB_PORT")


async def test_an_administrator_with_a_bad_password_or_address(data_folder: Path) -> None:
    for email, password in (("new@example.org", "short"), ("no address", "a fine password"), ("a@b.cd", "")):
        done = await run_hub(data_folder, "admin", "create", email, "--password-stdin", given=f"{password}\n")
        assert done.code == 1
        one_line(done, "The administrator was not created")
    common = await run_hub(
        data_folder, "admin", "create", "new@example.org", "--password-stdin", given="password123\n"
    )
    assert common.code == 1
    one_line(common, "common")
