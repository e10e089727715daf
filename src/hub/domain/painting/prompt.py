"""What an image server is told: the companion, its scene, and what holds for every picture."""

from __future__ import annotations

from msgspec import Struct

from hub.domain.prompts.prompts import Prompts
from hub.domain.scenes.schemas import Scene, SceneDetails

#: The longest prompt, and the longest negative one, in characters.
MAX_LENGTH = 2000
# Said in every picture's prompts, whatever the templates and the user say.
_ADULT = "adult"
_NEVER = "child, minor, underage"

_MAX_APPEARANCE = 600
_MAX_USER_APPEARANCE = 250
_MAX_TAGS = 300
_MAX_VALUE = 150


class Subject(Struct, frozen=True, kw_only=True):
    """Who is painted, and where; ``user_appearance`` counts only where the user is present."""

    name: str
    appearance: str
    user_appearance: str
    scene: Scene
    details: SceneDetails


class PicturePrompt(Struct, frozen=True, kw_only=True):
    """What is to be seen, and what is not."""

    prompt: str
    negative_prompt: str


def picture_prompt(prompts: Prompts, subject: Subject) -> PicturePrompt:
    """Write the prompt of a picture of the companion in its scene."""
    scene, details = subject.scene, subject.details
    pieces = prompts.paragraphs(
        "picture",
        name=_one_line(subject.name, _MAX_VALUE),
        appearance=_one_line(subject.appearance, _MAX_APPEARANCE),
        user_appearance=(
            _one_line(subject.user_appearance, _MAX_USER_APPEARANCE) if details.is_user_present else ""
        ),
        outfit=_one_line(scene.outfit, _MAX_VALUE),
        location=_one_line(scene.location, _MAX_VALUE),
        action=_one_line(scene.action, _MAX_VALUE),
        expression=_one_line(scene.expression, _MAX_VALUE),
        lighting=_one_line(details.lighting, _MAX_VALUE),
        visual_tags=_one_line(", ".join(details.visual_tags), _MAX_TAGS),
    )
    return PicturePrompt(
        prompt=completed(prompts, ", ".join(" ".join(piece.split()) for piece in pieces)),
        negative_prompt=completed_negative(prompts, None),
    )


def completed(prompts: Prompts, prompt: str) -> str:
    """Return a prompt as it is, with what every picture's says around it.

    One that has been completed stays as it is, so that a picture is made again from its recipe with the very
    same prompt. A prompt that is too long loses the end of its own words.
    """
    return _between(_ADULT, prompt, prompts.policy)


def completed_negative(prompts: Prompts, negative_prompt: str | None) -> str:
    """Return a negative prompt with what no picture shows ahead of it; None: the template's words."""
    if negative_prompt is None:
        negative_prompt = ", ".join(
            " ".join(piece.split()) for piece in prompts.paragraphs("picture_negative")
        )
    return _between(_NEVER, negative_prompt, "")


def _between(before: str, words: str, after: str) -> str:
    """Put words between two that are always there, unless they are there already."""
    beginning, end = f"{before}, ", f", {after}" if after else ""
    room = MAX_LENGTH - len(beginning) - len(end)
    words = words.strip().removeprefix(beginning).removesuffix(end)[:room].strip()
    return f"{before}{end}" if words in ("", before, after) else f"{beginning}{words}{end}"


def _one_line(text: str, limit: int) -> str:
    """Cut a text at its last whole word."""
    line = " ".join(text.split()).rstrip(".,; ")
    return line if len(line) <= limit else line[: limit + 1].rpartition(" ")[0] or line[:limit]
