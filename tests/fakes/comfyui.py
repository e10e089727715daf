"""A real HTTP and WebSocket server that speaks ComfyUI's API, faults included.

Work waits in a queue and runs one at a time; each takes the next ``Run`` of ``fake.runs``, else a good one.
Everything else that can go wrong is an attribute to set.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import uuid
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Self
from urllib.parse import parse_qsl, unquote, urlsplit

from websockets.http11 import Request
from websockets.server import ServerProtocol

Json = dict[str, object]

#: As small as a PNG can be: one pixel.
PNG = bytes.fromhex(
    "89504e470d0a1a0a0000000d4948445200000001000000010802000000907753de0000000c49444154"
    "789c63606060000000040001f61738550000000049454e44ae426082"
)
PREVIEW = b"\x00\x00\x00\x01\x00\x00\x00\x01" + PNG
STEPS = 4
SAVED: tuple[Json, ...] = ({"filename": "hub_00001_.png", "subfolder": "", "type": "output"},)
OUT_OF_MEMORY = ("torch.OutOfMemoryError", "Allocation on device 0 would exceed allowed memory.")


@dataclass
class Run:
    """How a piece of work goes."""

    images: tuple[Json, ...] = SAVED
    error: tuple[str, str] | None = None  # exception_type, exception_message
    halfway: asyncio.Event | None = None  # it waits for this one in the middle
    cut_socket: bool = False  # in the middle
    interrupted: bool = False  # by somebody at the server
    cached: bool = False  # every node of it


@dataclass
class Work:
    """A piece of work as /queue shows it."""

    number: int
    prompt_id: str
    graph: dict[str, Json]
    client_id: str

    def shown(self) -> list[object]:
        return [self.number, self.prompt_id, self.graph, {"client_id": self.client_id}, ["file"]]


@dataclass(frozen=True)
class Asked:
    """A request as it came in."""

    method: str
    path: str
    query: dict[str, str]
    headers: dict[str, str]
    body: Json


@dataclass
class Answer:
    """An answer to be given instead of the real one; status 0 never comes, -1 hangs up."""

    status: int
    body: object = field(default_factory=dict)
    headers: dict[str, str] = field(default_factory=dict)


class FakeComfyUI:
    """The server; see the module."""

    def __init__(self) -> None:
        self.asked: list[Asked] = []
        self.runs: deque[Run] = deque()
        self.made: list[Work] = []  # all that was ever posted
        self.pending: deque[Work] = deque()
        self.running: Work | None = None
        self.history: dict[str, Json] = {}
        self.files: dict[tuple[str, str, str], bytes] = {("hub_00001_.png", "", "output"): PNG}
        self.checkpoints: object = [["first.safetensors", "second.safetensors"], {}]
        self.instead: dict[str, list[Answer]] = {}  # by path: answers given first, in order
        self.always: dict[str, Answer] = {}  # by path
        self.sockets_refused = False
        self.sockets_opened = 0
        self.loses_next_answer = False  # what is asked for is done, but the answer never comes
        self.takes_wished_id = True  # older servers choose their own
        self._sockets: dict[str, tuple[ServerProtocol, asyncio.StreamWriter]] = {}
        self._stopping = asyncio.Event()  # the work that runs
        self._server: asyncio.Server | None = None
        self._port = 0
        self._tasks: set[asyncio.Task[None]] = set()
        self._changed = asyncio.Condition()

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self._port}"

    async def __aenter__(self) -> Self:
        self._server = await asyncio.start_server(self._connected, "127.0.0.1", self._port)
        self._port = self._server.sockets[0].getsockname()[1]
        self._tasks.add(asyncio.create_task(self._work()))
        return self

    async def __aexit__(self, *_: object) -> None:
        assert self._server is not None
        self._server.close()
        tasks = list(self._tasks)
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    async def restart(self) -> None:
        """Forget everything that is not a file, and cut every connection."""
        await self.__aexit__()
        self._tasks.clear()
        self.pending.clear()
        self.history.clear()
        self.running = None
        await self.__aenter__()

    async def wait_until(self, fact: Callable[[], bool]) -> None:
        """Wait until something holds of what was asked, opened or made here."""
        async with asyncio.timeout(5), self._changed:
            await self._changed.wait_for(fact)

    async def wait_for(self, path: str, count: int = 1) -> None:
        await self.wait_until(lambda: self.count(path) >= count)

    async def wait_for_sockets(self, count: int) -> None:
        await self.wait_until(lambda: self.sockets_opened >= count)

    async def wait_until_running(self) -> None:
        await self.wait_until(lambda: self.running is not None)

    def count(self, path: str) -> int:
        """Return how many requests for this path have come in."""
        return sum(asked.path == path or asked.path.startswith(f"{path}/") for asked in self.asked)

    def bodies(self, path: str) -> list[Json]:
        """Return the bodies of the requests for this path."""
        return [asked.body for asked in self.asked if asked.path == path]

    # The work.

    async def _work(self) -> None:
        while True:
            async with self._changed:
                await self._changed.wait_for(lambda: bool(self.pending))
            self.running = work = self.pending.popleft()
            self._stopping.clear()
            await self._tell()
            run = self.runs.popleft() if self.runs else Run()
            messages = await self._play(work, run)
            await asyncio.sleep(0.02)  # the real one, too, tells of the end before its history does
            self.running = None
            good = messages[-1][0] == "execution_success"
            images: Json = {"images": list(run.images), "animated": [False], "is_changed": [float("nan")]}
            self.history[work.prompt_id] = {
                "prompt": work.shown(),
                "outputs": {"file": images} if good and run.images else {},
                "status": {
                    "status_str": "success" if good else "error",
                    "completed": good,
                    "messages": messages,
                },
            }
            await self._send(work, "executing", {"node": None})
            await self._tell()

    async def _play(self, work: Work, run: Run) -> list[tuple[str, Json]]:
        messages: list[tuple[str, Json]] = []

        async def say(kind: str, data: Json) -> None:
            messages.append((kind, {"prompt_id": work.prompt_id, **data}))
            await self._send(work, kind, data)

        await say("execution_start", {})
        cached = list(work.graph) if run.cached else []
        await say("execution_cached", {"nodes": cached})
        for name in work.graph if not run.cached else ():
            await self._send(work, "executing", {"node": name})
            if work.graph[name]["class_type"] == "KSampler":
                await self._sample(work, run, name)
                if self._stopping.is_set() or run.interrupted:
                    await say("execution_interrupted", {"node_id": name, "node_type": "KSampler"})
                    return messages
                if run.error is not None:
                    await say("execution_error", _error(work, name, *run.error))
                    return messages
        await say("execution_success", {})
        return messages

    async def _sample(self, work: Work, run: Run, name: str) -> None:
        for step in range(1, STEPS + 1):
            await self._send(work, "progress", {"node": name, "value": step, "max": STEPS})
            await self._preview(work)
            if step == STEPS // 2:
                if run.cut_socket and work.client_id in self._sockets:
                    self._sockets[work.client_id][1].transport.abort()
                if run.halfway is not None:
                    waits = [asyncio.ensure_future(event.wait()) for event in (run.halfway, self._stopping)]
                    try:
                        await asyncio.wait(waits, return_when=asyncio.FIRST_COMPLETED)
                    finally:
                        for wait in waits:
                            wait.cancel()
            if self._stopping.is_set():
                return

    async def _send(self, work: Work, kind: str, data: Json) -> None:
        message = {"type": kind, "data": {"prompt_id": work.prompt_id, **data}}
        socket = self._sockets.get(work.client_id)
        if socket is not None:
            socket[0].send_text(json.dumps(message).encode())
            await _flush(*socket)

    async def _preview(self, work: Work) -> None:
        socket = self._sockets.get(work.client_id)
        if socket is not None:
            socket[0].send_binary(PREVIEW)
            await _flush(*socket)

    # The requests.

    async def _tell(self) -> None:
        async with self._changed:
            self._changed.notify_all()

    async def _connected(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        self._tasks.add(task)
        try:
            # A client that leaves between or within requests is a normal end here.
            with contextlib.suppress(ConnectionError, asyncio.IncompleteReadError):
                while await self._serve_one(reader, writer):
                    await writer.drain()
        except asyncio.CancelledError:
            writer.transport.abort()  # the end of the server; streams would log a cancelled handler
        finally:
            self._tasks.discard(task)
            writer.close()

    async def _serve_one(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> bool:
        """Return whether the connection serves another request."""
        asked = await _read(reader)
        self.asked.append(asked)
        await self._tell()
        kind = f"/{asked.path.split('/')[1]}"
        planned = self.instead.get(kind)
        answer = planned.pop(0) if planned else self.always.get(kind)
        if kind == "/ws" and answer is None and not self.sockets_refused:
            await self._serve_socket(asked, reader, writer)
            return False
        if answer is None:
            answer = await self._answer(asked)
        if self.loses_next_answer and kind == "/prompt":
            self.loses_next_answer = False
            answer = Answer(-1)
        if answer.status == 0:
            await asyncio.Event().wait()
        if answer.status < 0:
            writer.transport.abort()
            return False
        writer.write(_encoded(answer))
        return True

    async def _serve_socket(
        self, asked: Asked, reader: asyncio.StreamReader, writer: asyncio.StreamWriter
    ) -> None:
        protocol = ServerProtocol()
        head = ["GET /ws HTTP/1.1", *(f"{name}: {value}" for name, value in asked.headers.items())]
        protocol.receive_data("\r\n".join(head).encode("latin-1") + b"\r\n\r\n")
        [request] = protocol.events_received()
        assert isinstance(request, Request)
        protocol.send_response(protocol.accept(request))
        client_id = asked.query["clientId"]
        self._sockets[client_id] = socket = (protocol, writer)
        await _flush(protocol, writer)
        self.sockets_opened += 1
        await self._tell()
        try:
            while data := await reader.read(1024):
                protocol.receive_data(data)
                await _flush(protocol, writer)
        finally:
            if self._sockets[client_id] is socket:
                del self._sockets[client_id]

    async def _answer(self, asked: Asked) -> Answer:
        match asked.method, asked.path.split("/")[1:]:
            case "POST", [path] if path in ("prompt", "queue", "interrupt"):
                return await {"prompt": self._post, "queue": self._delete, "interrupt": self._interrupt}[
                    path
                ](asked.body)
            case "GET", path:
                found = self._found(path, asked.query)
                return Answer(404) if found is None else Answer(200, found)
        return Answer(405)

    def _found(self, path: list[str], query: dict[str, str]) -> object:
        found: object = None
        match path:
            case ["history", prompt_id]:
                entry = self.history.get(prompt_id)
                found = {} if entry is None else {prompt_id: entry}
            case ["queue"]:
                running = [] if self.running is None else [self.running.shown()]
                found = {"queue_running": running, "queue_pending": [work.shown() for work in self.pending]}
            case ["view"]:
                found = self.files.get((query["filename"], query["subfolder"], query["type"]))
            case ["object_info", "CheckpointLoaderSimple" as loader]:
                found = {loader: {"input": {"required": {"ckpt_name": self.checkpoints}}}}
            case ["system_stats"]:
                found = {"system": {"comfyui_version": "0.3.60"}, "devices": []}
        return found

    async def _delete(self, body: Json) -> Answer:
        gone = body["delete"]
        assert isinstance(gone, list)
        self.pending = deque(work for work in self.pending if work.prompt_id not in gone)
        return Answer(200)

    async def _interrupt(self, body: Json) -> Answer:
        if self.running is not None and body.get("prompt_id", "") == self.running.prompt_id:
            self._stopping.set()
        return Answer(200)

    async def _post(self, body: Json) -> Answer:
        graph, client_id = body["prompt"], body["client_id"]
        assert isinstance(graph, dict)
        wished = str(body["prompt_id"]) if self.takes_wished_id else str(uuid.uuid4())
        work = Work(len(self.made), wished, graph, str(client_id))
        self.made.append(work)
        self.pending.append(work)
        await self._tell()
        return Answer(200, {"prompt_id": wished, "number": work.number, "node_errors": {}})


def refused_node(name: str, *, received: str) -> Answer:
    """Return the answer to a graph with a bad value in a node."""
    error = {
        "type": "value_not_in_list",
        "message": "Value not in list",
        "details": f"ckpt_name: '{received}' not in ['first.safetensors']",
        "extra_info": {"input_name": "ckpt_name", "received_value": received},
    }
    whole = {"type": "prompt_outputs_failed_validation", "message": "Prompt outputs failed validation"}
    nodes = {name: {"errors": [error], "dependent_outputs": ["file"], "class_type": "CheckpointLoaderSimple"}}
    return Answer(400, {"error": {**whole, "details": "", "extra_info": {}}, "node_errors": nodes})


def _error(work: Work, name: str, kind: str, message: str) -> Json:
    inputs = {"positive": [[json.dumps(work.graph)]]}  # the real one shows the prompt too
    return {
        "node_id": name,
        "node_type": "KSampler",
        "executed": [],
        "exception_message": message,
        "exception_type": kind,
        "traceback": ["  File ...\n"],
        "current_inputs": inputs,
        "current_outputs": [],
    }


async def _flush(protocol: ServerProtocol, writer: asyncio.StreamWriter) -> None:
    with contextlib.suppress(ConnectionError):
        writer.writelines(data for data in protocol.data_to_send() if data)
        await writer.drain()


async def _read(reader: asyncio.StreamReader) -> Asked:
    head = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1").split("\r\n")
    method, target, _ = head[0].split(" ", 2)
    pairs = (text.split(":", 1) for text in head[1:] if text)
    headers = {name.strip().lower(): value.strip() for name, value in pairs}
    raw = await reader.readexactly(int(headers.get("content-length", "0")))
    parts = urlsplit(target)
    query = dict(parse_qsl(parts.query, keep_blank_values=True))
    return Asked(method, unquote(parts.path), query, headers, json.loads(raw) if raw else {})


def _encoded(answer: Answer) -> bytes:
    content = answer.body if isinstance(answer.body, bytes) else json.dumps(answer.body).encode()
    lines = [f"HTTP/1.1 {answer.status} Fake", f"content-length: {len(content)}"]
    lines += [f"{name}: {value}" for name, value in answer.headers.items()]
    return "\r\n".join(lines).encode("latin-1") + b"\r\n\r\n" + content
