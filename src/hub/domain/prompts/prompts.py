"""Everything that models are told, from one folder of templates; the operator's own replace them by name."""

from __future__ import annotations

from collections.abc import Mapping
from importlib import resources
from pathlib import Path
from typing import Literal

from msgspec import Struct

from hub.core.errors import StartError
from hub.domain.prompts.template import Template, TemplateError

Name = Literal["persona", "rules", "scene", "continue", "analysis", "picture", "picture_negative"]

#: The longest template, in characters: more would not leave a small model room for the talk.
MAX_LENGTH = 4000
#: The longest content policy, in characters.
MAX_POLICY_LENGTH = 300

DEFAULT_POLICY = "suitable for everyone"

_SCENE = frozenset({"outfit", "location", "action", "expression"})


class _Placeholders(Struct, frozen=True):
    known: frozenset[str]
    required: frozenset[str] = frozenset()


_TEMPLATES: dict[Name, _Placeholders] = {
    "persona": _Placeholders(
        frozenset({"name", "description", "appearance", "user", "user_appearance"}),
        frozenset({"name", "description"}),
    ),
    "rules": _Placeholders(frozenset({"name", "user", "policy"}), frozenset({"policy"})),
    "scene": _Placeholders(_SCENE | {"name", "user"}),
    "continue": _Placeholders(frozenset({"name", "user"})),
    "analysis": _Placeholders(_SCENE | {"name", "user", "policy"}, frozenset({"policy"})),
    "picture": _Placeholders(_SCENE | {"name", "appearance", "user_appearance", "lighting", "visual_tags"}),
    "picture_negative": _Placeholders(frozenset()),
}


class Prompts:
    """The templates and the content policy; made once, at start."""

    def __init__(self, templates: Mapping[Name, Template], *, policy: str) -> None:
        self._templates = templates
        self.policy = policy

    @classmethod
    def load(cls, folder: Path | None = None, *, policy: str = DEFAULT_POLICY) -> Prompts:
        """Read the templates.

        Args:
            folder: the operator's; a file in it replaces the template of the same name.
            policy: what everything said and painted has to be, in a few words.

        Raises:
            StartError: the folder or one of its files cannot be used; says which, and why.
        """
        policy = " ".join(policy.split()).rstrip(".,; ")
        if not 0 < len(policy) <= MAX_POLICY_LENGTH:
            raise StartError(
                f"HUB_CONTENT_POLICY: expected a few words, at most {MAX_POLICY_LENGTH} characters."
            )
        packaged = resources.files("hub.domain.prompts") / "templates"
        texts = {name: (packaged / f"{name}.txt").read_text("utf-8") for name in _TEMPLATES}
        own = _own_files(folder) if folder is not None else {}
        texts |= {name: _read(file) for name, file in own.items()}
        return cls({name: _parsed(name, text, own.get(name)) for name, text in texts.items()}, policy=policy)

    def paragraphs(self, template: Name, /, **values: str) -> list[str]:
        """Fill in a template and return its paragraphs, without those that have nothing to say.

        Every placeholder that the template may have needs a value; ``$policy`` has its own.
        """
        return self._templates[template].fill({**values, "policy": self.policy})

    def text(self, template: Name, /, **values: str) -> str:
        """Fill in a template, see :meth:`paragraphs`, and return it as one text."""
        return "\n\n".join(self.paragraphs(template, **values))


def _own_files(folder: Path) -> dict[Name, Path]:
    """Find the operator's templates. Hidden files may be there too: volumes and desktops make them."""
    try:
        files = {file.name: file for file in sorted(folder.iterdir()) if not file.name.startswith(".")}
    except OSError as error:
        raise StartError(f"HUB_PROMPTS_DIR: {folder} cannot be read ({error.strerror}).") from None
    known: dict[str, Name] = {f"{name}.txt": name for name in _TEMPLATES}
    if unknown := next((name for name in files if name not in known), None):
        raise StartError(
            f"HUB_PROMPTS_DIR: {folder / unknown} is none of the templates: {', '.join(sorted(known))}."
        )
    return {known[name]: file for name, file in files.items()}


def _read(file: Path) -> str:
    try:
        with file.open(encoding="utf-8-sig") as opened:
            return opened.read(MAX_LENGTH + 1)
    except OSError as error:
        raise StartError(f"HUB_PROMPTS_DIR: {file} cannot be read ({error.strerror}).") from None
    except UnicodeDecodeError:
        raise StartError(f"HUB_PROMPTS_DIR: {file} is not UTF-8 text. Save it as UTF-8.") from None


def _parsed(name: Name, text: str, file: Path | None) -> Template:
    placeholders = _TEMPLATES[name]
    try:
        if len(text) > MAX_LENGTH:
            raise TemplateError(f"it is longer than {MAX_LENGTH} characters")  # noqa: TRY301 - one sentence for all
        if "\0" in text:
            raise TemplateError("it holds a NUL character")  # noqa: TRY301 - one sentence for all
        return Template(text, known=placeholders.known, required=placeholders.required)
    except TemplateError as error:
        raise StartError(f"HUB_PROMPTS_DIR: {file or name}: {error}.") from None
