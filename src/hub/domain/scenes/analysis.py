"""Asks a language model what the scene is at the end of a talk, and reads its answer with caution."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence

import msgspec
from msgspec import Struct

from hub.domain.prompts.budget import shorten_start, tokens
from hub.domain.prompts.prompts import Prompts
from hub.domain.scenes.loose_json import Value, objects
from hub.domain.scenes.plain_words import plain, says_nothing
from hub.domain.scenes.schemas import Scene, SceneDetails, told
from hub.providers.llm.protocol import ChatMessage, ChatRequest, JsonSchema

#: Messages of the talk that are read.
MESSAGES = 4
MAX_TOKENS = 600
#: The longest value that is taken over, and the longest tag, in characters; and the most tags.
MAX_LENGTH = 200
MAX_TAG_LENGTH = 40
MAX_TAGS = 12
# What is read of an answer, in characters: ten times of what MAX_TOKENS can hold.
_MAX_ANSWER = 32_000
_MAX_NESTING = 4

_TEXT = {"type": "string"}
_PROPERTIES: dict[str, object] = {
    "outfit": _TEXT,
    "location": _TEXT,
    "action": _TEXT,
    "expression": _TEXT,
    "lighting": _TEXT,
    "is_user_present": {"type": "boolean"},
    "visual_tags": {"type": "array", "items": _TEXT},
}
#: The form of an answer; no bounds, since not every server knows them: reading has its own.
SCHEMA = JsonSchema(
    name="scene",
    schema={
        "type": "object",
        "properties": _PROPERTIES,
        "required": list(_PROPERTIES),
        "additionalProperties": False,
    },
)

_NAMES = {
    **{name.replace("_", ""): name for name in _PROPERTIES},
    **dict.fromkeys(("clothes", "clothing", "currentoutfit"), "outfit"),
    **dict.fromkeys(("place", "currentlocation"), "location"),
    **dict.fromkeys(("actionsummary", "currentaction", "activity"), "action"),
    **dict.fromkeys(("facialexpression", "currentexpression"), "expression"),
    **dict.fromkeys(("light", "lights"), "lighting"),
    **dict.fromkeys(("userpresent", "ispresent"), "is_user_present"),
    **dict.fromkeys(("tags", "visualtag"), "visual_tags"),
}
_NOT_THE_COMPANION = frozenset({"user", "human"})
_NO_LETTER = re.compile(r"[^a-z]+")
_THOUGHTS = re.compile(r"<(think|thinking|reasoning)>.*?(?:</\1>|\Z)", re.DOTALL | re.IGNORECASE)
_END_OF_THOUGHT = re.compile(r"</(?:think|thinking|reasoning)>", re.IGNORECASE)


class Findings(Struct, frozen=True, kw_only=True):
    """What an answer says: bounded plain text in one line each. "" and None say nothing."""

    outfit: str = ""
    location: str = ""
    action: str = ""
    expression: str = ""
    lighting: str = ""
    is_user_present: bool | None = None
    visual_tags: tuple[str, ...] | None = None


def request(
    prompts: Prompts, *, name: str, user_name: str, scene: Scene, talk: Sequence[ChatMessage], budget: int
) -> ChatRequest:
    """Return what to ask the model.

    Args:
        prompts: the templates.
        name: the companion's.
        user_name: the name of the person it talks with.
        scene: as it was before the talk's last messages.
        talk: oldest first; the last ``MESSAGES`` are told, the end of each where room is short, since its
            scene is the newest.
        budget: tokens that the model has for prompt and answer together.
    """
    user = user_name.strip() or "the user"
    task = prompts.text("analysis", name=name, user=user, **told(scene))
    talk = talk[-MESSAGES:]
    room = max(budget - MAX_TOKENS - tokens(task), 64 * MESSAGES) // max(len(talk), 1)
    lines = [
        f"{name if message.role == 'assistant' else user}: {shorten_start(message.content, room)}"
        for message in talk
    ]
    return ChatRequest(
        messages=(
            ChatMessage(role="system", content=task),
            ChatMessage(role="user", content="\n\n".join(lines)),
        ),
        max_tokens=MAX_TOKENS,
        temperature=0.2,
        top_p=1.0,
    )


def read(text: str) -> Findings:
    """Read an answer, however it is written; never raises. What cannot be read says nothing."""
    text = _without_thoughts(text)[:_MAX_ANSWER]
    best: dict[str, Value] = {}
    for found in objects(text):
        known = _known(found)
        if len(known) >= len(best):  # the later one of equals: models correct themselves
            best = known
    return Findings(
        outfit=_line(best.get("outfit"), vague_outfit=True),
        location=_line(best.get("location")),
        action=_line(best.get("action")),
        expression=_line(best.get("expression")),
        lighting=_line(best.get("lighting")),
        is_user_present=_switch(best.get("is_user_present")),
        visual_tags=_tags(best.get("visual_tags")),
    )


def news(findings: Findings, scene: Scene) -> Findings:
    """Leave out what only repeats the scene that the model was told.

    It would undo what is read of an earlier message meanwhile.
    """
    known = {name: value.casefold() for name, value in msgspec.structs.asdict(scene).items()}
    old = {name: "" for name, value in known.items() if getattr(findings, name).casefold() == value}
    return msgspec.structs.replace(findings, **old)


def applied(scene: Scene, details: SceneDetails, findings: Findings) -> tuple[Scene, SceneDetails]:
    """Return scene and details as they are after an analysis: what says nothing keeps what was."""
    present, tags = findings.is_user_present, findings.visual_tags
    return (
        Scene(
            outfit=findings.outfit or scene.outfit,
            location=findings.location or scene.location,
            action=findings.action or scene.action,
            expression=findings.expression or scene.expression,
        ),
        SceneDetails(
            lighting=findings.lighting or details.lighting,
            is_user_present=details.is_user_present if present is None else present,
            visual_tags=details.visual_tags if tags is None else tags,
        ),
    )


def _without_thoughts(text: str) -> str:
    """Leave out what a reasoning model thinks; some servers swallow the mark of the beginning."""
    text = _THOUGHTS.sub(" ", text)
    *_, text = _END_OF_THOUGHT.split(text)
    return text


def _known(found: dict[str, Value], depth: int = 1) -> dict[str, Value]:
    """Gather the values of known names, also from objects inside; the outer ones count."""
    known: dict[str, Value] = {}
    inside: list[dict[str, Value]] = []
    for spelling, value in found.items():
        name = _NO_LETTER.sub("", spelling.lower())
        if name in _NAMES:
            known[_NAMES[name]] = value
        elif name not in _NOT_THE_COMPANION:
            inside += _objects_of(value)
    for further in inside if depth < _MAX_NESTING else ():
        known = _known(further, depth + 1) | known
    return known


def _objects_of(value: Value) -> list[dict[str, Value]]:
    return [part for part in (value if isinstance(value, list) else [value]) if isinstance(part, dict)]


def _line(value: Value, *, limit: int = MAX_LENGTH, vague_outfit: bool = False) -> str:
    """Make one plain line of a value; of a list or an object, of its texts. "" if it says nothing."""
    texts = (plain(text, limit) for text in _texts(value))
    told_texts = [text for text in texts if not says_nothing(text, vague_outfit=vague_outfit)]
    return plain(", ".join(told_texts), limit)


def _texts(value: Value) -> Iterable[str]:
    if isinstance(value, str):
        return (value,)
    parts = value.values() if isinstance(value, dict) else value if isinstance(value, list) else ()
    return [part for part in parts if isinstance(part, str)][: 4 * MAX_TAGS]


def _tags(value: Value) -> tuple[str, ...] | None:
    """Make plain tags of a list or of a text with commas, each one once; an empty list is a finding too."""
    if not isinstance(value, str | list):
        return None
    parts = value.split(",")[: 4 * MAX_TAGS] if isinstance(value, str) else _texts(value)
    tags = (_line(part, limit=MAX_TAG_LENGTH) for part in parts)
    return tuple(dict.fromkeys(tag for tag in tags if tag))[:MAX_TAGS]


def _switch(value: Value) -> bool | None:
    if isinstance(value, str):
        return {"true": True, "yes": True, "false": False, "no": False}.get(value.strip().lower())
    if isinstance(value, bool):
        return value
    return {0.0: False, 1.0: True}.get(value) if isinstance(value, float) else None
