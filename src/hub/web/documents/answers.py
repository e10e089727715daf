"""What all answers of the API have in common: their headers, and what a refusal looks like."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Iterable, Mapping
from contextlib import suppress
from typing import Any

import msgspec
from msgspec import Struct

from hub.core.errors import HubError, InvalidPart, InvalidRequestError
from hub.web.documents.examples import Examples
from hub.web.documents.operations import Operation
from hub.web.documents.refusals import Error
from hub.web.documents.values import DETAILS, REQUEST_ID
from hub.web.problems import PROBLEM_JSON, TITLES, problem
from hub.web.v1.errors import PREFIX, translated

Part = dict[str, Any]

_TEXT = {"type": "string"}

#: Every header that an answer may have: what it says, its schema, an example.
HEADERS: Mapping[str, tuple[str, Part, str]] = {
    "X-Request-ID": ("Names this request in the hub's log.", _TEXT, REQUEST_ID),
    "Location": (
        "Where what was made, or is under way, is found.",
        _TEXT,
        "/api/responses/019f8a2c-5b1e-7d3a-9c4f-0a1b2c3d4e06",
    ),
    "ETag": ("Names this state, for `If-Match` and `If-None-Match`.", _TEXT, '"7d3a9c4f"'),
    "Link": (
        'The next page as `rel="next"`; not on the last.',
        _TEXT,
        '</api/companions?cursor=MTc5>; rel="next"',
    ),
    "RateLimit-Policy": ("Each limit that was counted: `q` times in `w` seconds.", _TEXT, '"chat";q=30;w=60'),
    "RateLimit": ("What is left of it: `r` times; all of them in `t` seconds.", _TEXT, '"chat";r=29;t=12'),
    "Retry-After": ("Seconds after which it is worth trying again.", _TEXT | {"pattern": "^[0-9]+$"}, "2"),
    "WWW-Authenticate": ("How to sign in.", _TEXT, "Bearer"),
    "Idempotency-Replayed": (
        "`true` when this is the answer that the same request got before.",
        _TEXT | {"enum": ["true"]},
        "true",
    ),
    "Vary": ("What the format depends on.", _TEXT, "Accept"),
    "Cache-Control": ("Who may keep it, and for how long.", _TEXT, "private, max-age=300"),
    "Accept-Ranges": ("Parts may be asked for.", _TEXT, "bytes"),
    "Content-Range": ("Which part this is.", _TEXT, "bytes 0-1023/48213"),
    "Set-Cookie": (
        "Keeps a browser signed in, or has it forget.",
        _TEXT,
        "hub_session=Zk3vJ0q9TqW1; HttpOnly; Path=/; SameSite=Lax",
    ),
    "Content-Disposition": ("A name for the file.", _TEXT, 'attachment; filename="talk.jsonl"'),
}


def headers() -> Part:
    """Return the headers as components."""
    return {
        name: {"description": text, "required": name == "X-Request-ID", "schema": schema, "example": value}
        for name, (text, schema, value) in HEADERS.items()
    }


def refer(names: Iterable[str]) -> Part:
    """Return what an answer has as its ``headers``."""
    return {name: {"$ref": f"#/components/headers/{name}"} for name in sorted({"X-Request-ID", *names})}


class Shape(Struct, frozen=True, kw_only=True):
    """What errors look like in one part of the API; ``render`` makes one of a problem document."""

    name: str
    media_type: str
    render: Callable[[bytes], bytes]


_PROBLEM = Shape(name="Problem", media_type=PROBLEM_JSON, render=bytes)
_OPENAI = Shape(name="ErrorBody", media_type="application/json", render=translated)


class Refusals:
    """The refusals of all operations, gathered as components."""

    def __init__(self, examples: Examples, details: Mapping[Error, str]) -> None:
        self.responses: Part = {}
        self.examples: Part = {}
        self._details = details
        self._made = examples

    def of(self, operation: Operation, *, takes_body: bool) -> Part:
        """Return the refusals of an operation by status, each a reference."""
        told: dict[int, dict[str, Error | None]] = {}
        for status in _of_the_web(operation, takes_body=takes_body):
            told.setdefault(status, {})[TITLES[status][0]] = None
        for error in sorted(operation.found.errors, key=lambda error: error.__name__):
            told.setdefault(error.status, {})[error.code] = error
        shape = _OPENAI if operation.path.startswith(PREFIX) else _PROBLEM
        found = {str(status): self._response(shape, status, codes) for status, codes in sorted(told.items())}
        return found | {"default": self._default(shape)}

    def beyond(self) -> Part:
        """Return the answer to a ``Range`` that a file does not have."""
        return self._response(_PROBLEM, 416, {"range_not_satisfiable": None})

    def _response(self, shape: Shape, status: int, codes: Mapping[str, Error | None]) -> Part:
        key = ".".join([shape.name, str(status), *sorted(codes)])
        if key not in self.responses:
            lines = []
            for code, error in sorted(codes.items()):
                title = error.title if error is not None else TITLES[status][1]
                about = _plain(inspect.getdoc(error) or "") if error is not None else f"{title}."
                lines.append(f"`{code}`: {about}")
                self._add_example(shape, status, code, title, error)
            self.responses[key] = _answer(shape, "\n\n".join(lines), sorted(codes), _MORE.get(status, set()))
        return {"$ref": f"#/components/responses/{key}"}

    def _default(self, shape: Shape) -> Part:
        if shape.name not in self.responses:
            self._add_example(shape, 500, "internal_error", HubError.title, None)
            self.responses[shape.name] = _answer(shape, "Any other refusal.", ["internal_error"], set())
        return {"$ref": f"#/components/responses/{shape.name}"}

    def _add_example(self, shape: Shape, status: int, code: str, title: str, error: Error | None) -> None:
        errors = None
        if error is None or issubclass(error, InvalidRequestError):
            errors = _INVALID.get(code)
        value = problem(status, code, title, self._detail(code, error), request_id=REQUEST_ID, errors=errors)
        self.examples[_example_name(shape, code)] = {
            "summary": title,
            "value": msgspec.json.decode(shape.render(value)),
        }

    def _detail(self, code: str, error: Error | None) -> str:
        """Return the sentence that goes with a problem."""
        if error is not None and code not in DETAILS:
            if error in self._details:
                return self._details[error]
            with suppress(TypeError):  # it wants more than a sentence
                if sentence := str(error()):
                    return sentence
        return self._made.look_up(DETAILS, code, "DETAILS")


#: What refusals of a status have in their headers.
_MORE = {
    401: {"WWW-Authenticate"},
    429: {"Retry-After", "RateLimit", "RateLimit-Policy"},
    503: {"Retry-After"},
}
_INVALID = {
    "invalid_request": [InvalidPart("/name", "Expected `str` of length >= 1.")],
    "common_password": [
        InvalidPart("/password", "This password is among the most common ones. Choose another.")
    ],
}


def _of_the_web(operation: Operation, *, takes_body: bool) -> Iterable[int]:
    """Yield what is refused before a handler runs, or because the database is away."""
    if operation.opt.get("refuses_nothing"):
        return
    yield 503
    if takes_body:
        yield from (400, 413, 415)
    if operation.has_parameters:
        yield 400
    if "{" in operation.path:
        yield 404


def _answer(shape: Shape, description: str, codes: Iterable[str], more: set[str]) -> Part:
    names = {code: _example_name(shape, code) for code in codes}
    content = {
        "schema": {"$ref": f"#/components/schemas/{shape.name}"},
        "examples": {code: {"$ref": f"#/components/examples/{name}"} for code, name in names.items()},
    }
    return {"description": description, "headers": refer(more), "content": {shape.media_type: content}}


def _example_name(shape: Shape, code: str) -> str:
    return code if shape is _PROBLEM else f"{shape.name}.{code}"


def _plain(docstring: str) -> str:
    return " ".join(docstring.partition("\n\n")[0].replace("``", "`").split())
