"""The AsyncAPI document: the sockets, made from the same Structs that read and write their frames."""

from __future__ import annotations

import inspect
from typing import Any

from msgspec import Struct

import hub
from hub.core.errors import StartError
from hub.web.documents.examples import Examples
from hub.web.documents.frames import Socket, sockets
from hub.web.documents.operations import schemas_of
from hub.web.documents.wording import put_right

Part = dict[str, Any]

_SECURITY: Part = {
    "token": {
        "type": "http",
        "scheme": "bearer",
        "description": "`Authorization: Bearer` with an access token.",
    },
    "ticket": {
        "type": "httpApiKey",
        "in": "query",
        "name": "ticket",
        "description": "From `POST /api/ws-tickets`, where headers cannot be set: good once, for 30 seconds.",
    },
}
_TICKET: Part = {
    "type": "object",
    "properties": {"ticket": {"type": "string", "description": _SECURITY["ticket"]["description"]}},
}


def asyncapi() -> Part:
    """Return the document."""
    return _Document(sockets()).made()


class _Document:
    def __init__(self, told: list[Socket]) -> None:
        self._sockets = told
        self._examples = Examples()
        every = [(socket, frame) for socket in told for frame in (*socket.takes, *socket.tells)]
        self._references, self._schemas = schemas_of(frame for _, frame in every)
        self._messages = {socket.key(frame): self._message(frame) for socket, frame in every}

    def made(self) -> Part:
        document: Part = {
            "asyncapi": "3.1.0",
            "info": {
                "title": "Companion Hub",
                "version": hub.__version__,
                "description": "The WebSockets of the hub. Everything else is in the "
                "[OpenAPI document](/docs).",
                "license": {"name": "MIT"},
            },
            "defaultContentType": "application/json",
            "servers": {
                "hub": {
                    "host": "127.0.0.1:8000",
                    "protocol": "ws",
                    "description": "Where a hub listens unless told otherwise; `wss` behind TLS.",
                    "security": [{"$ref": f"#/components/securitySchemes/{name}"} for name in _SECURITY],
                }
            },
            "channels": {socket.name: self._channel(socket) for socket in self._sockets},
            "operations": {
                name: operation
                for socket in self._sockets
                for name, operation in self._operations(socket).items()
            },
            "components": {
                "messages": self._messages,
                "schemas": self._schemas,
                "securitySchemes": _SECURITY,
            },
        }
        put_right(document)
        if self._examples.missing:
            raise StartError(f"hub.web.documents.values lacks {', '.join(sorted(self._examples.missing))}")
        return document

    def _message(self, frame: type[Struct]) -> Part:
        about = inspect.getdoc(frame) or ""
        name = str(frame.__struct_config__.tag)
        return {
            "name": name,
            "title": name,
            "summary": about.partition("\n\n")[0],
            "payload": self._references[frame],
            "examples": [{"name": "usual", "payload": self._examples.of(frame)}],
        }

    def _channel(self, socket: Socket) -> Part:
        offered = f" The subprotocol `{socket.subprotocol}` may be offered." if socket.subprotocol else ""
        return {
            "address": socket.address,
            "title": socket.address,
            "description": socket.about + offered,
            "servers": [{"$ref": "#/servers/hub"}],
            "messages": {
                socket.key(frame): {"$ref": f"#/components/messages/{socket.key(frame)}"}
                for frame in (*socket.takes, *socket.tells)
            },
            "bindings": {"ws": {"method": "GET", "query": _TICKET, "bindingVersion": "0.1.0"}},
            "x-close-codes": {str(code): meaning for code, meaning in socket.closes.items()},
        }

    def _operations(self, socket: Socket) -> Part:
        channel = {"$ref": f"#/channels/{socket.name}"}
        return {
            f"{socket.name}.ask": {
                "action": "receive",
                "channel": channel,
                "title": "What clients send",
                "messages": [_in(socket, frame) for frame in socket.takes],
            },
            f"{socket.name}.tell": {
                "action": "send",
                "channel": channel,
                "title": "What clients are told",
                "messages": [_in(socket, frame) for frame in socket.tells],
            },
        }


def _in(socket: Socket, frame: type[Struct]) -> Part:
    return {"$ref": f"#/channels/{socket.name}/messages/{socket.key(frame)}"}
