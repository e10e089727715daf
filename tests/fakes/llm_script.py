"""What a fake chat server says: a script is a list of steps, played byte by byte.

A step is bytes to send, a number of seconds to wait, an ``asyncio.Event`` to wait for, or an ``End``. The
builders below write the usual scripts; a test that needs stranger bytes writes the list itself.
"""

from __future__ import annotations

import asyncio
import enum
import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace

TYPE_JSON = "application/json"
TYPE_STREAM = "text/event-stream"


class End(enum.Enum):
    """How a connection ends before its script does."""

    CLOSE = "close"  # FIN in the middle of the body
    RESET = "reset"  # RST
    HANG = "hang"  # nothing more, until the client leaves


Step = bytes | float | asyncio.Event | End


@dataclass(frozen=True, kw_only=True)
class Script:
    """One answer. ``framing``: "chunked", "length" (one body, Content-Length) or "close" (until EOF).

    ``before_head`` steps are played before the status line; no ``status`` means that none is ever sent.
    """

    steps: Sequence[Step] = ()
    status: int | None = 200
    content_type: str = TYPE_STREAM
    headers: Mapping[str, str] = field(default_factory=dict)
    framing: str = "chunked"
    before_head: Sequence[Step] = ()


def chunk(
    content: str | None = None,
    *,
    finish: str | None = None,
    role: str | None = None,
    usage: Mapping[str, int] | None = None,
    choices: bool = True,
) -> dict[str, object]:
    """One chat.completion.chunk as OpenAI sends it."""
    delta: dict[str, object] = {}
    if role is not None:
        delta["role"] = role
    if content is not None or role is not None:
        delta["content"] = content
    body: dict[str, object] = {
        "id": "chatcmpl-fake",
        "object": "chat.completion.chunk",
        "created": 1_700_000_000,
        "model": "fake",
        "choices": [{"index": 0, "delta": delta, "finish_reason": finish}] if choices else [],
    }
    if usage is not None or not choices:
        body["usage"] = usage
    return body


def line(payload: Mapping[str, object] | str, *, end: str = "\n\n") -> bytes:
    """One ``data:`` event."""
    text = payload if isinstance(payload, str) else json.dumps(payload, ensure_ascii=False)
    return f"data: {text}{end}".encode()


DONE = line("[DONE]")


def split_tokens(text: str) -> list[str]:
    """Cut a text into pieces as a tokenizer would, so that they join to the same text."""
    return re.findall(r"\s*\S+|\s+$", text)


def reply(
    text: str | Sequence[str],
    *,
    finish: str | None = "stop",
    usage: bool = True,
    done: bool = True,
    role: bool = True,
    eol: str = "\n",
    comment: str | None = None,
    delay: float = 0,
    first: Sequence[Step] = (),
    between: Mapping[int, Step] | None = None,
) -> Script:
    """A whole answer; ``between[n]`` is played before the n-th piece, ``delay`` seconds before each."""
    pieces = split_tokens(text) if isinstance(text, str) else list(text)
    end = eol * 2
    steps: list[Step] = list(first)
    if comment is not None:
        steps.append(f": {comment}{end}".encode())
    if role:
        steps.append(line(chunk(None, role="assistant"), end=end))
    for number, piece in enumerate(pieces):
        if between and number in between:
            steps.append(between[number])
        if delay:
            steps.append(delay)
        steps.append(line(chunk(piece), end=end))
    if finish is not None:
        steps.append(line(chunk(finish=finish), end=end))
    if usage:
        count = len(pieces)
        totals = {"prompt_tokens": 7, "completion_tokens": count, "total_tokens": 7 + count}
        steps.append(line(chunk(usage=totals, choices=False), end=end))
    if done:
        steps.append(line("[DONE]", end=end))
    return Script(steps=steps)


def answer(text: str, *, finish: str = "stop", first: Sequence[Step] = ()) -> Script:
    """A whole answer in one body, as a request for no stream gets it; ``first`` is played before."""
    message = {"role": "assistant", "content": text}
    count = len(split_tokens(text))
    body = {
        "id": "chatcmpl-fake",
        "object": "chat.completion",
        "created": 1_700_000_000,
        "model": "fake",
        "choices": [{"index": 0, "message": message, "finish_reason": finish}],
        "usage": {"prompt_tokens": 7, "completion_tokens": count, "total_tokens": 7 + count},
    }
    return replace(status(200, body), before_head=first)


def stream(*steps: Step) -> Script:
    """A 200 with exactly these steps in its body."""
    return Script(steps=steps)


def status(
    code: int,
    body: Mapping[str, object] | str | bytes = b"",
    *,
    content_type: str | None = None,
    headers: Mapping[str, str] | None = None,
) -> Script:
    """An answer with one body."""
    if isinstance(body, Mapping):
        raw = json.dumps(body).encode()
        content_type = content_type or TYPE_JSON
    else:
        raw = body.encode() if isinstance(body, str) else body
    return Script(
        steps=[raw],
        status=code,
        content_type=content_type or "text/plain",
        headers=headers or {},
        framing="length",
    )


def error(code: int, message: str = "no", /, **fields: object) -> Script:
    """An error as OpenAI words it; ``fields`` are type, param, code and ``headers``."""
    headers = fields.pop("headers", None)
    assert headers is None or isinstance(headers, Mapping)
    return status(code, {"error": {"message": message, **fields}}, headers=headers)


def silence() -> Script:
    """The request is read and never answered."""
    return Script(status=None, before_head=[End.HANG])


def default_text(body: Mapping[str, object]) -> str:
    """What the fake says to these messages: the same every time, and not only ASCII."""
    messages = body.get("messages")
    last = ""
    if isinstance(messages, list):
        last = next((str(m.get("content", "")) for m in reversed(messages) if m.get("role") == "user"), "")
    return f"You said: “{last}” — how lovely ☕ 🫖, tell me more."
