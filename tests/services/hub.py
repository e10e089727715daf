"""The hub as tests use it: real processes, and a client that talks to them as anyone would."""

from __future__ import annotations

import asyncio
import itertools
import json
import os
import re
import secrets
import signal
import ssl
import sys
import time
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import httpx2
import websockets
from websockets.asyncio.client import ClientConnection

from tests.services.leash import Leashed

PROJECT = Path(__file__).parents[2]
PASSWORD = "correct horse battery"

_numbers = itertools.count(1)

#: For clients that only speak plain HTTP: they need not read all certificates, which takes 20 ms for each.
NO_TLS = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)


class HubServer:
    """One ``hub`` process with settings of its own; nothing of the test run's environment reaches it.

    ``module`` is what ``python -m`` runs; a test may name one that prepares the hub and then starts it.
    ``python`` may be set to that of another environment, where the hub is installed: this tree's code is then
    not seen.
    """

    def __init__(self, folder: Path, role: str = "up", *, module: str = "hub", **settings: str) -> None:
        self.folder = folder
        self.role = role
        self.module = module
        self.python: Path | None = None
        self.log = folder / f"{role}-{secrets.token_hex(3)}.log"
        self.settings = {
            "HUB_DATA_DIR": str(folder / "data"),
            "HUB_CONFIG_FILE": str(PROJECT / "config" / "hub.toml"),
            "HUB_PORT": "0",
            "HUB_LIMITS": "off",
            "HUB_WEBHOOK_PRIVATE_HOSTS": "localhost",
            **settings,
        }
        self._process: Leashed | None = None
        self._said_before = 0

    @property
    def pid(self) -> int:
        """The process id of the running hub."""
        assert self._process is not None
        return self._process.pid

    @property
    def url(self) -> str:
        """The address that the hub printed."""
        found = re.findall(r"Address\s+(http://\S+)", self.output)
        assert found, self.output
        return str(found[-1])

    @property
    def output(self) -> str:
        """Everything that the hub has printed."""
        return self.log.read_text(encoding="utf-8") if self.log.exists() else ""

    def launch(self) -> None:
        """Start the process without waiting for it."""
        self.folder.mkdir(parents=True, exist_ok=True)
        self.close()
        self._said_before = len(self.output)
        environment = {**base_environment(self.folder), **self.settings}
        if self.python is not None:
            del environment["PYTHONPATH"]
        command = [str(self.python or sys.executable), "-m", self.module, self.role]
        self._process = Leashed(command, log=self.log, env=environment, cwd=self.folder)

    async def start(self, *, within: float = 60.0) -> None:
        """Start the process and wait until it says that it is ready."""
        self.launch()
        await self.wait_for("worker ready" if self.role == "worker" else "is ready", within=within)

    async def wait_for(self, words: str, *, within: float = 30.0) -> None:
        """Wait until the hub has printed these words since it was started last."""
        deadline = time.monotonic() + within
        while words not in self.output[self._said_before :]:
            assert self._process is not None
            assert self._process.running, self.output
            assert time.monotonic() < deadline, self.output
            await asyncio.sleep(0.02)

    async def exit_code(self, *, within: float = 15.0) -> int:
        """Wait for the process to end by itself."""
        assert self._process is not None
        return await asyncio.to_thread(self._process.wait, within)

    async def stop(self, number: signal.Signals = signal.SIGTERM, *, within: float = 15.0) -> int:
        """Ask the process to stop and return its exit code."""
        assert self._process is not None
        self._process.signal(number)
        return await self.exit_code(within=within)

    async def kill(self) -> None:
        """Kill the process and all its children at once, as a power cut would."""
        assert self._process is not None
        await asyncio.to_thread(self._process.end)

    def close(self) -> None:
        """End whatever is left."""
        if self._process is not None:
            self._process.end()


class Client:
    """A user: HTTP with its token, and sockets."""

    def __init__(self, url: str) -> None:
        self.url = url
        self.http = httpx2.AsyncClient(base_url=url, timeout=30, verify=NO_TLS)
        self.token = ""
        self.user: dict[str, Any] = {}

    async def register(self) -> Client:
        """Create an account that nobody else has, and sign in."""
        name = f"user_{secrets.token_hex(3)}_{next(_numbers)}"
        body = {"username": name, "email": f"{name}@example.org", "password": PASSWORD}
        answer = await self.http.post("/api/auth/register", json=body)
        assert answer.status_code == 201, answer.text
        self.use(answer.json()["access_token"])
        self.user = answer.json()["user"]
        return self

    def use(self, token: str) -> None:
        """Send this token from now on."""
        self.token = token
        self.http.headers["Authorization"] = f"Bearer {token}"

    async def make_token(self, *scopes: str, **fields: Any) -> dict[str, Any]:
        """Make a personal access token."""
        body = {"name": "a program", "scopes": scopes, **fields}
        answer = await self.http.post("/api/me/tokens", json=body)
        assert answer.status_code == 201, answer.text
        return dict(answer.json())

    async def companion(self, **fields: str) -> dict[str, Any]:
        """Create a companion."""
        body = {"name": "Mira", "description": "A calm botanist who loves moss.", **fields}
        answer = await self.http.post("/api/companions", json=body)
        assert answer.status_code == 201, answer.text
        return dict(answer.json())

    async def set_header_image(
        self, companion_id: str, content: bytes, media_type: str = "image/png"
    ) -> dict[str, Any]:
        """Upload a header picture."""
        path, headers = f"/api/companions/{companion_id}/header-image", {"Content-Type": media_type}
        answer = await self.http.put(path, content=content, headers=headers)
        assert answer.status_code == 200, answer.text
        return dict(answer.json())

    async def conversation(self, companion_id: str | None = None) -> dict[str, Any]:
        """Begin a conversation, with a new companion unless one is named."""
        companion_id = companion_id or (await self.companion())["id"]
        answer = await self.http.post("/api/conversations", json={"companion_id": companion_id})
        assert answer.status_code == 201, answer.text
        return dict(answer.json())

    async def send(self, conversation_id: str, content: str, **headers: str) -> dict[str, Any]:
        """Say something over HTTP."""
        return await self._send(conversation_id, {"content": content}, headers)

    async def send_for_image(self, conversation_id: str, content: str, **headers: str) -> dict[str, Any]:
        """Say something over HTTP, and ask for a picture of the moment."""
        return await self._send(conversation_id, {"content": content, "generate_image": True}, headers)

    async def _send(
        self, conversation_id: str, body: dict[str, Any], headers: dict[str, str]
    ) -> dict[str, Any]:
        path = f"/api/conversations/{conversation_id}/messages"
        answer = await self.http.post(path, json=body, headers=headers)
        assert answer.status_code == 202, answer.text
        return dict(answer.json())

    async def job(self, job_id: str) -> dict[str, Any]:
        """Return a job as it stands."""
        answer = await self.http.get(f"/api/jobs/{job_id}")
        assert answer.status_code == 200, answer.text
        return dict(answer.json())

    async def done(self, job_id: str, *, within: float = 30.0) -> dict[str, Any]:
        """Wait until a job has ended, by asking."""
        deadline = time.monotonic() + within
        while (job := await self.job(job_id))["status"] in ("queued", "in_progress"):
            assert time.monotonic() < deadline, job
            await asyncio.sleep(0.02)
        return job

    async def webhook(self, url: str, *events: str) -> dict[str, Any]:
        """Have events told to an address, all of them unless some are named; return it with its secret."""
        named = events or ("response.completed", "response.failed", "image.completed")
        answer = await self.http.post("/api/webhooks", json={"url": url, "events": named})
        assert answer.status_code == 201, answer.text
        return dict(answer.json())

    async def ask_image(self, companion_id: str, **fields: Any) -> dict[str, Any]:
        """Ask for a picture and return its job."""
        answer = await self.http.post(f"/api/companions/{companion_id}/images", json=fields)
        assert answer.status_code == 202, answer.text
        return dict(answer.json())

    async def paint(self, companion_id: str, **fields: Any) -> dict[str, Any]:
        """Ask for a picture and wait until it is there; return its job."""
        job = await self.done((await self.ask_image(companion_id, **fields))["id"])
        assert job["status"] == "completed", job
        return job

    async def messages(self, conversation_id: str) -> list[dict[str, Any]]:
        """Return the conversation's messages, oldest first."""
        path = f"/api/conversations/{conversation_id}/messages?limit=1000"
        answer = await self.http.get(path)
        assert answer.status_code == 200, answer.text
        return list(reversed(answer.json()["items"]))

    async def response(self, response_id: str) -> dict[str, Any]:
        """Return a response as it stands."""
        answer = await self.http.get(f"/api/responses/{response_id}")
        assert answer.status_code == 200, answer.text
        return dict(answer.json())

    async def ended(self, response_id: str, *, within: float = 30.0) -> dict[str, Any]:
        """Wait until a response has ended, by asking."""
        deadline = time.monotonic() + within
        while (response := await self.response(response_id))["status"] in ("queued", "in_progress"):
            assert time.monotonic() < deadline, response
            await asyncio.sleep(0.02)
        return response

    @asynccontextmanager
    async def socket(self, **options: Any) -> AsyncIterator[Socket]:
        """Open a WebSocket, signed in by header."""
        options.setdefault("additional_headers", {"Authorization": f"Bearer {self.token}"})
        address = self.url.replace("http", "ws", 1) + "/api/ws"
        async with websockets.connect(address, max_size=None, **options) as connection:
            socket = Socket(connection)
            await socket.expect("session.created")
            yield socket

    async def close(self) -> None:
        """Close the HTTP connections."""
        await self.http.aclose()


class Socket:
    """A WebSocket client that keeps what the contract tells it to keep: texts by offset, nothing else."""

    def __init__(self, connection: ClientConnection) -> None:
        self.connection = connection
        self.frames: list[dict[str, Any]] = []
        self.texts: dict[str, str] = {}

    async def send(self, **frame: Any) -> None:
        """Send a frame."""
        await self.connection.send(json.dumps(frame))

    async def subscribe(self, conversation_id: str, **fields: Any) -> dict[str, Any]:
        """Follow a conversation and wait for the confirmation."""
        await self.send(type="conversation.subscribe", conversation_id=conversation_id, **fields)
        return await self.expect("conversation.subscribed")

    async def say(self, conversation_id: str, content: str, **fields: Any) -> str:
        """Send a message and return the event id it was sent under."""
        event_id = fields.pop("event_id", f"event-{next(_numbers)}")
        item = {"type": "message", "role": "user", "content": content}
        await self.send(
            type="conversation.item.create",
            event_id=event_id,
            conversation_id=conversation_id,
            item=item,
            **fields,
        )
        return str(event_id)

    async def receive(self, *, within: float = 20.0) -> dict[str, Any]:
        """Return the next frame; deltas must fit without gap or overlap."""
        async with asyncio.timeout(within):
            frame: dict[str, Any] = json.loads(await self.connection.recv())
        self.frames.append(frame)
        kind = frame["type"]
        if kind == "response.in_progress":
            self.texts[frame["response"]["id"]] = frame["response"]["output_text"]
        elif kind == "response.output_text.delta":
            response_id = frame["response_id"]
            assert frame["offset"] == len(self.texts[response_id]), (frame, self.texts[response_id])
            self.texts[response_id] += frame["delta"]
        elif kind == "response.output_text.done":
            assert frame["text"] == self.texts[frame["response_id"]], (frame, self.texts)
        elif kind in ("response.failed", "response.cancelled"):
            response = frame["response"]
            built = self.texts.get(response["id"], response["output_text"])
            assert response["output_text"] == built, (frame, built)
        return frame

    async def expect(self, *kinds: str, within: float = 20.0) -> dict[str, Any]:
        """Return the next frame of one of these types; others are kept in ``frames``."""
        async with asyncio.timeout(within):
            while (frame := await self.receive(within=within))["type"] not in kinds:
                pass
        return frame

    async def reads(self, words: str) -> str:
        """Wait until the text of a reply has these words and return the response's id."""
        while True:
            for response_id, text in self.texts.items():
                if words in text:
                    return response_id
            await self.receive()

    async def finished(self, *, within: float = 30.0) -> dict[str, Any]:
        """Return the response of the next frame that ends one."""
        ends = ("response.completed", "response.failed", "response.cancelled")
        return dict((await self.expect(*ends, within=within))["response"])

    def seen(self, kind: str) -> list[dict[str, Any]]:
        """Return the frames of a type that came so far."""
        return [frame for frame in self.frames if frame["type"] == kind]


def base_environment(folder: Path) -> Mapping[str, str]:
    """Return what a hub process has in its environment beside settings: this tree's code comes first."""
    return {"PATH": os.environ["PATH"], "HOME": str(folder), "PYTHONPATH": str(PROJECT / "src")}


def llm_settings(url: str, **more: str) -> Mapping[str, str]:
    """Return the settings that point a hub at a language model's server, which is asked for replies only."""
    return {
        "HUB_LLM_URL": url,
        "HUB_LLM_MODEL": "fake",
        "HUB_LLM_TIMEOUT": "5",
        "HUB_SCENE_ANALYSIS": "off",
        **more,
    }
