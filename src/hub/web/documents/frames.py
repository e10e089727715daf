"""The sockets of the hub and every frame that goes over them, as the code declares them."""

from __future__ import annotations

import typing
from collections.abc import Mapping
from typing import Any

from msgspec import Struct

from hub.domain.chat.frames import Frame
from hub.web.v1.response_objects import ErrorEvent, ResponseEvent
from hub.web.v1.socket import ResponseCreate
from hub.web.ws import frames
from hub.web.ws.route import SUBPROTOCOL


class Socket(Struct, frozen=True, kw_only=True):
    """One WebSocket: what clients may send, what they are told, and how it is closed."""

    name: str
    address: str
    about: str
    subprotocol: str | None
    takes: tuple[type[Struct], ...]
    tells: tuple[type[Struct], ...]
    closes: Mapping[int, str]

    def key(self, frame: type[Struct]) -> str:
        """Return the name of a frame among those of all sockets; the first socket's are plain."""
        tag = str(frame.__struct_config__.tag)
        return tag if self.name == "talk" else f"{self.name}.{tag}"


CLOSES: Mapping[int, str] = {
    1001: "The hub goes away. Come again.",
    1009: "The frame is too big.",
    1011: "An error of the hub. Come again.",
    1012: "The hub restarts or is not ready. Come again.",
    1013: "Too slow: the client does not read what it is sent. Come again.",
    4400: "Bad frame: frames are JSON text.",
    4401: "Not signed in, or not any more.",
    4403: "The account is disabled, or may not do this.",
    4429: "Too many at once. Come again later.",
}

_ABOUT = """Talk with companions and watch replies and pictures come. A frame is a JSON object with a `type`.

Resuming is by state: a client subscribes with the `position` of the last message that it has, is told where
things stand, and then what changes."""


_ABOUT_RESPONSES = """The Responses API of OpenAI's clients over one connection: many responses in turn.

Who may not come in is told so by HTTP. There is no ticket: clients of OpenAI send a header."""


def sockets() -> list[Socket]:
    """Return every socket of the hub."""
    return [
        Socket(
            name="talk",
            address="/api/ws",
            about=_ABOUT,
            subprotocol=SUBPROTOCOL,
            takes=typing.get_args(frames.AnyClientFrame),
            tells=(*_own(frames), *_leaves(Frame)),
            closes=CLOSES,
        ),
        Socket(
            name="responses",
            address="/v1/responses",
            about=_ABOUT_RESPONSES,
            subprotocol=None,
            takes=(ResponseCreate,),
            tells=(*typing.get_args(ResponseEvent), ErrorEvent),
            closes={code: CLOSES[code] for code in (1001, 1009, 1011, 1013, 4400, 4401, 4429)},
        ),
    ]


def _own(module: Any) -> list[type[Struct]]:
    """Return the frames of a module that clients are sent: those with a tag which are not a client's."""
    return [
        each
        for each in vars(module).values()
        if isinstance(each, type)
        and issubclass(each, Struct)
        and each.__struct_config__.tag is not None
        and not issubclass(each, frames.ClientFrame)
    ]


def _leaves(kind: type[Struct]) -> list[type[Struct]]:
    below = [leaf for each in kind.__subclasses__() for leaf in _leaves(each)]
    return below or [kind]
