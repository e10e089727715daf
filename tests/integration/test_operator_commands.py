"""The commands of those who run the hub, beside a running one: what they say, what they do."""

from __future__ import annotations

import asyncio
import json
import os
import signal
import socket
from itertools import pairwise
from pathlib import Path
from urllib.parse import urlsplit

from tests.fakes.llm import FakeLLM
from tests.services.hub import PASSWORD, Client, HubServer, llm_settings
from tests.services.silence import black_hole, silent_server
from tests.services.world import Done, begin_hub, run_hub


async def command(hub: HubServer, *words: str, given: str = "", **more: str) -> Done:
    """Run a command with the settings of a hub; it has to go well."""
    done = await run_hub(hub.folder, *words, given=given, **{**hub.settings, **more})
    assert done.code == 0, done.output
    return done


async def logs_in(user: Client, password: str) -> int:
    """Return the status that signing in as somebody gives."""
    body = {"login": user.user["username"], "password": password}
    return (await user.http.post("/api/auth/login", json=body)).status_code


async def asks(user: Client, token: str) -> int:
    """Return the status that a token gives."""
    headers = {"Authorization": f"Bearer {token}"}
    return (await user.http.get("/api/companions", headers=headers)).status_code


async def test_all_is_well_and_no_secret_is_told(ready_database: str, llm: FakeLLM, tmp_path: Path) -> None:
    key = "canary-of-a-key"
    settings = {**llm_settings(llm.url), "HUB_DATABASE_URL": ready_database, "HUB_LLM_KEY": key}
    done = await run_hub(tmp_path, "doctor", "--json", "--within", "60", **settings)
    assert done.code == 0, done.output
    told = json.loads(done.out)
    assert told["status"] == "warn"
    assert [each["check"] for each in told["checks"] if each["status"] != "pass"] == ["administrator"]
    assert "HUB_LLM_KEY (environment)" in done.out
    password = urlsplit(ready_database).password
    assert password is not None
    assert not any(secret in done.output for secret in (key, password))


async def test_the_doctor_knows_a_running_hub(hub: HubServer) -> None:
    port = urlsplit(hub.url).port
    words = ("doctor", "--json", "--within", "60")
    done = await run_hub(hub.folder, *words, **{**hub.settings, "HUB_PORT": str(port)})
    found = {each["check"]: each for each in json.loads(done.out)["checks"]}
    assert found["web port"]["detail"] == f"127.0.0.1:{port} is held by this hub, which is running"
    assert found["running hub"]["status"] == "pass", found["running hub"]


async def test_what_fails_is_named_with_its_setting_and_without_its_secrets(tmp_path: Path) -> None:
    """Nobody answers: refused, silent, swallowed; and the web port is somebody else's."""
    with black_hole() as hole, silent_server() as quiet:
        (tmp_path / "data").write_text("a file in its place")
        done = await run_hub(
            tmp_path,
            "doctor",
            HUB_DATABASE_URL=f"postgresql://hub:canary-one@127.0.0.1:{hole}/hub",
            HUB_BROKER_URL=f"amqp://hub:canary-two@127.0.0.1:{quiet}/",
            HUB_LLM_URL="http://127.0.0.1:1/v1",
            HUB_LLM_MODEL="any",
            HUB_LLM_KEY="canary-three",
            HUB_SD_URL=f"http://127.0.0.1:{hole}",
            HUB_SECRET_KEY="canary-four-of-thirty-two-characters",
            HUB_PORT=str(quiet),
        )
    assert done.code == 1, done.output
    failed = {
        line.split("  ")[1].strip(): after.strip().partition(":")[0]
        for line, after in pairwise(done.out.splitlines())
        if line.startswith("FAIL")
    }
    assert failed == {
        "data folder": "HUB_DATA_DIR",
        "database": "HUB_DATABASE_URL",
        "broker": "HUB_BROKER_URL",
        "language model": "HUB_LLM_URL",
        "image server": "HUB_SD_URL",
        "web port": "HUB_PORT",
    }
    assert "canary" not in done.output
    assert "\x1b" not in done.output


async def test_a_token_that_the_operator_makes(hub: HubServer, client: Client) -> None:
    login = client.user["email"]
    words = ("token", "create", login, "--name", "phone", "--scope", "read", "--days", "2")
    made = await command(hub, *words)
    secret = made.out.strip()
    assert secret not in made.err
    assert await asks(client, secret) == 200
    await command(hub, "token", "delete", made.err.split()[-1].rstrip("."))
    assert await asks(client, secret) == 401


async def test_a_lost_password_and_an_account_that_is_kept_out(hub: HubServer, client: Client) -> None:
    name, new = client.user["username"], "another horse battery"
    await client.make_token("read", name="watch")
    async with client.socket() as connected:
        await command(hub, "admin", "reset-password", name, "--password-stdin", given=f"{new}\n")
        await asyncio.wait_for(connected.connection.wait_closed(), 10)  # the hub has been told
    assert (await logs_in(client, PASSWORD), await logs_in(client, new)) == (401, 200)
    await command(hub, "admin", "disable", name)
    assert await logs_in(client, new) == 403
    _, users, tokens = await asyncio.gather(
        command(hub, "admin", "enable", name),
        command(hub, "admin", "list", "--all"),
        command(hub, "token", "list", name, "--json"),
    )
    assert await logs_in(client, new) == 200
    assert f"{name} " in users.out
    assert [(each["name"], each["scopes"]) for each in json.loads(tokens.out)["tokens"]] == [
        ("watch", ["read"])
    ]


async def test_a_reader_that_goes_away_ends_a_command_quietly(tmp_path: Path) -> None:
    reading, writing = os.pipe()
    os.close(reading)
    process = await begin_hub(tmp_path, "config", stdout=writing)
    os.close(writing)
    assert (await process.communicate())[1] == b""
    assert process.returncode == -signal.SIGPIPE


async def test_ctrl_c_ends_a_command_quietly(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as silent:
        silent.settimeout(0)
        url = f"postgresql://hub@127.0.0.1:{silent.getsockname()[1]}/hub"
        process = await begin_hub(tmp_path, "migrate", HUB_DATABASE_URL=url)
        try:
            async with asyncio.timeout(30):
                connection, _ = await asyncio.get_running_loop().sock_accept(silent)
            with connection:
                process.send_signal(signal.SIGINT)
                assert b"".join(await process.communicate()).strip() == b""
        finally:
            if process.returncode is None:
                process.kill()
                await process.wait()
    assert process.returncode == -signal.SIGINT
