"""Every frame that clients of the socket may send, with what a valid one looks like."""

from __future__ import annotations

from typing import Any, get_args

from hub.web.ws.frames import VERB_SCOPES, AnyClientFrame

Frame = dict[str, Any]

_FRAMES: dict[str, Frame] = {
    "conversation.subscribe": {"conversation_id": "{conversation_id}", "after": 1},
    "conversation.unsubscribe": {"conversation_id": "{conversation_id}"},
    "conversation.item.create": {
        "conversation_id": "{conversation_id}",
        "item": {"type": "message", "role": "user", "content": "Let me in"},
        "response": None,
    },
    "response.create": {"conversation_id": "{conversation_id}", "response": {"kind": "regenerate"}},
    "response.cancel": {"response_id": "{response_id}"},
}


def verbs() -> dict[str, tuple[str, ...]]:
    """Return all verbs that the server knows, with the scopes of which a token needs one."""
    return {
        str(frame.__struct_config__.tag): VERB_SCOPES.get(frame, ()) for frame in get_args(AnyClientFrame)
    }


def frame_of(verb: str, ids: dict[str, str]) -> Frame:
    """Return a valid frame about these ids; fails for a verb that has none here yet."""
    assert verb in _FRAMES, f"no frame for {verb} in tests/services/verbs.py"
    filled = {
        name: value.format(**ids) if isinstance(value, str) else value
        for name, value in _FRAMES[verb].items()
    }
    return {"type": verb, "event_id": f"matrix-{verb}", **filled}
