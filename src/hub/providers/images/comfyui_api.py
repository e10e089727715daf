"""ComfyUI's HTTP answers, as the few facts that painting needs."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping
from urllib.parse import urlencode

from msgspec import Struct

from hub.providers.http.answers import NO_SUCH_PAGE
from hub.providers.http.client import HttpClient
from hub.providers.images.comfyui_graph import Nodes
from hub.providers.images.comfyui_socket import failure_of_message
from hub.providers.images.content import checked, unread
from hub.providers.images.exchange import MAX_BYTES, Answer, exchange
from hub.providers.images.failures import failure
from hub.providers.images.protocol import ImageServerError

_MAX_JSON = 16 * 1024 * 1024  # the queue repeats the graphs of everybody in it
_BAD_REQUEST, _NOT_FOUND = 400, 404
_LOADER = "CheckpointLoaderSimple"
_WORK_ID = re.compile(r"[\w-]{1,100}", re.ASCII)  # a UUID at ComfyUI's own; nothing that a path could mean
_ERROR_TYPE = re.compile(r"[a-z_]{1,60}")


class File(Struct, frozen=True):
    """A file that a node has saved at the server."""

    filename: str
    subfolder: str
    type: str


class Ended(Struct, frozen=True):
    """Work that is over: what went wrong, or its files."""

    failure: ImageServerError | None
    files: tuple[File, ...]


class Place(Struct, frozen=True):
    """Where waiting work stands, and the client that asked for it ("" if not told)."""

    running: bool
    client_id: str


class Api:
    """The requests to one server; each raises ``ImageServerError``."""

    def __init__(self, client: HttpClient, *, patience: float, max_picture: int = MAX_BYTES) -> None:
        """``patience`` is in seconds for a whole answer, ``max_picture`` in bytes."""
        self._client = client
        self._patience = patience
        self._max_picture = max_picture

    async def look(self) -> None:
        """Return if the server is there and is a ComfyUI."""
        answer = await self._json("/system_stats", looking=True)
        if not (isinstance(answer, dict) and "system" in answer):
            raise failure("image_bad_answer", detail="no ComfyUI: /system_stats says nothing of a system")

    async def first_checkpoint(self) -> str:
        """Return the name of the first model that the server has."""
        answer = await self._json(f"/object_info/{_LOADER}")
        choices = _at(answer, _LOADER, "input", "required", "ckpt_name")
        if isinstance(choices, list) and choices:
            names = choices[0] if isinstance(choices[0], list) else _at(choices[-1], "options")
            for name in names if isinstance(names, list) else ():
                if isinstance(name, str) and name:
                    return name
        raise failure("image_not_found", detail="the server has no checkpoint")

    async def post(self, nodes: Nodes, *, client_id: str, prompt_id: str) -> str:
        """Ask for work; returns its id at the server: ``prompt_id``, or what an older server chose."""
        body = {"prompt": nodes, "client_id": client_id, "prompt_id": prompt_id}
        answer = await self._ask("POST", "/prompt", body)
        if answer.status == _BAD_REQUEST:
            raise _refusal(answer.body, nodes) or answer.failure()
        named = _at(_read(answer), "prompt_id")
        if not isinstance(named, str) or not _WORK_ID.fullmatch(named):
            raise failure("image_bad_answer", detail="no prompt_id")
        return named

    async def ended(self, prompt_id: str) -> Ended | None:
        """Return the end of this work, None if the server knows of none (yet)."""
        if not _WORK_ID.fullmatch(prompt_id):
            return None
        entry = _at(await self._json(f"/history/{prompt_id}"), prompt_id)
        return _end(entry) if isinstance(entry, dict) else None

    async def place(self, prompt_id: str) -> Place | None:
        """Return where this work waits or runs, None if it does neither."""
        answer = await self._ask("GET", "/queue")
        if answer.status in NO_SUCH_PAGE:  # a gateway may hide it: then the history alone tells of the end
            return Place(running=True, client_id="")
        queue = _read(answer)
        for name in ("queue_running", "queue_pending"):
            entries = _at(queue, name)
            for entry in entries if isinstance(entries, list) else ():
                match entry:
                    case [_, str(its_id), *rest] if its_id == prompt_id:
                        client_id = _at(rest[1], "client_id") if len(rest) > 1 else None
                        known = isinstance(client_id, str)
                        return Place(name == "queue_running", str(client_id) if known else "")
        return None

    async def stop(self, prompt_id: str) -> None:
        """Take this work out of the queue, or interrupt it; other people's work is left alone."""
        await self._tell("/queue", {"delete": [prompt_id]})
        place = await self.place(prompt_id)
        if place is not None and place.running:
            # Newer servers interrupt only this one, older ones what runs: hence the look just before.
            await self._tell("/interrupt", {"prompt_id": prompt_id})

    async def view(self, file: File) -> bytes | None:
        """Return the file's bytes, None if it is there no more."""
        query = {"filename": file.filename, "subfolder": file.subfolder, "type": file.type}
        path = f"/view?{urlencode(query, errors='replace')}"
        answer = await self._ask("GET", path, max_bytes=self._max_picture)
        if answer.status == _NOT_FOUND:
            return None
        return checked(_good(answer).body)

    async def _tell(self, path: str, body: Mapping[str, object]) -> None:
        _good(await self._ask("POST", path, body))

    async def _json(self, path: str, *, looking: bool = False) -> object:
        return _read(await self._ask("GET", path, looking=looking))

    async def _ask(
        self,
        method: str,
        path: str,
        body: Mapping[str, object] | None = None,
        *,
        max_bytes: int = _MAX_JSON,
        looking: bool = False,
    ) -> Answer:
        content = b"" if body is None else json.dumps(body).encode("ascii")
        return await exchange(
            self._client, method, path, content, seconds=self._patience, max_bytes=max_bytes, looking=looking
        )


def _good(answer: Answer) -> Answer:
    if not answer.ok:
        raise answer.failure()
    return answer


def _read(answer: Answer) -> object:
    try:
        told: object = json.loads(_good(answer).body)  # the standard one: nodes put NaN into the history
    except (ValueError, RecursionError):
        raise unread(answer.body) from None
    return told


def _refusal(body: bytes, nodes: Nodes) -> ImageServerError | None:
    """Read which nodes the server refused; only words that cannot be a prompt's reach the log."""
    try:
        refused = _at(json.loads(body), "node_errors")
    except (ValueError, RecursionError):
        return None
    if not isinstance(refused, dict):
        return None
    named = [
        f"node {name!r} ({nodes[name].get('class_type')}): {', '.join(_error_types(errors)) or 'refused'}"
        for name, errors in refused.items()
        if name in nodes
    ]
    return failure("image_bad_request", detail="; ".join(named[:5]) or "HTTP 400")


def _error_types(refused: object) -> Iterator[str]:
    errors = _at(refused, "errors")
    for error in errors[:3] if isinstance(errors, list) else ():
        kind = _at(error, "type")
        if isinstance(kind, str) and _ERROR_TYPE.fullmatch(kind):
            yield kind


def _end(entry: dict[str, object]) -> Ended | None:
    status = _at(entry, "status", "status_str")
    messages = _at(entry, "status", "messages")
    for message in messages if isinstance(messages, list) else ():
        match message:
            case [str(kind), dict(data)]:
                if error := failure_of_message(kind, data):
                    return Ended(error, ())
    if status == "error":
        return Ended(failure("image_server_error", detail="the history says error"), ())
    outputs = entry.get("outputs")
    files = tuple(_files(outputs)) if isinstance(outputs, dict) else ()
    if not files and _at(entry, "status", "completed") is False:
        return None
    return Ended(None, files)


def _files(outputs: Mapping[object, object]) -> Iterator[File]:
    for output in outputs.values():
        images = _at(output, "images")
        for image in images if isinstance(images, list) else ():
            name, folder, kind = (_at(image, key) for key in ("filename", "subfolder", "type"))
            if isinstance(name, str) and name:
                yield File(
                    name,
                    folder if isinstance(folder, str) else "",
                    kind if isinstance(kind, str) else "output",
                )


def _at(value: object, *keys: str) -> object:
    """Return what stands at the end of this path of keys, None where there is no such thing."""
    for key in keys:
        value = value.get(key) if isinstance(value, dict) else None
    return value
