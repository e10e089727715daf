"""The form in which somebody writes about a companion: its fields, and what they make."""

from __future__ import annotations

from collections.abc import Mapping

import msgspec
from msgspec import UNSET

from hub.core.errors import HubError
from hub.core.etags import ANYTHING, Expected, StaleEditError, tag_of
from hub.domain.companions.schemas import Companion, CreateCompanion, UpdateCompanion, UpdateScene
from hub.domain.images.errors import FilesTakenError, QuotaExceededError
from hub.domain.scenes.schemas import Scene
from hub.storage.codec.errors import TooManyPixelsError, UnreadableImageError, UnsupportedImageError
from hub.storage.errors import NoRoomError, StorageFailedError
from hub.storage.images.errors import ImagesUnavailableError
from hub.web.pages.forms import FormError, fill, refused
from hub.web.pages.problems import explain
from hub.web.pages.upload_forms import EmptyFileError, SentForm
from hub.web.pages.words import Words
from hub.web.uploads import PICTURE, UploadTooLargeError

#: The field that has the picture.
PICTURE_FIELD = "picture"

_TEXTS = ("name", "description", "appearance", "user_appearance", "default_outfit", "greeting")
_SCENE = Scene.__struct_fields__
#: What can be wrong with the picture alone.
_ABOUT_PICTURES = (
    EmptyFileError,
    FilesTakenError,
    ImagesUnavailableError,
    NoRoomError,
    QuotaExceededError,
    StorageFailedError,
    TooManyPixelsError,
    UnreadableImageError,
    UnsupportedImageError,
    UploadTooLargeError,
)


class Seen(Expected, frozen=True):
    """What an editor has seen; where ``scene`` is None, the talk may have changed the scene meanwhile."""

    scene: str | None = None

    def check(self, shown: object) -> None:
        """Raise StaleEditError if one of the fields is not as it was."""
        if not isinstance(shown, Companion):
            raise StaleEditError
        super().check(_written(shown))
        if self.scene is not None and tag_of(shown.scene) != self.scene:
            raise StaleEditError


def values_of(companion: Companion) -> dict[str, str]:
    """Return what the form shows of a companion, and the tags of that."""
    texts = {name: getattr(companion, name) for name in _TEXTS}
    return {**texts, **msgspec.structs.asdict(companion.scene), **tags_of(companion)}


def tags_of(companion: Companion) -> dict[str, str]:
    """Return the fields by which the form says what its writer has seen."""
    return {"seen": tag_of(_written(companion)), "seen_scene": tag_of(companion.scene)}


def changed_elsewhere(fields: Mapping[str, str], companion: Companion) -> dict[str, str]:
    """Return what a companion's fields hold now where that is not what is typed."""
    now = values_of(companion)
    return {name: now[name] for name in (*_TEXTS, *_SCENE) if now[name] != fields.get(name, now[name])}


def _written(companion: Companion) -> list[object]:
    header = companion.header_image
    return [*(getattr(companion, name) for name in _TEXTS), header.id if header else None]


def creation(form: SentForm, words: Words) -> CreateCompanion:
    """Make the command for a new companion.

    Raises:
        FormError: with a sentence for each field that is wrong, the picture's included.
    """
    problems = _refusal(form, words)
    try:
        command = fill(CreateCompanion, _texts(form.fields), words=words, hints=_hints(words))
    except FormError as error:
        raise FormError(error.problems | problems) from None
    if problems:
        raise FormError(problems)
    return command


def changes(form: SentForm, words: Words) -> tuple[UpdateCompanion, Expected]:
    """Make the command for a companion that is there already, and what its writer expects to find.

    Raises:
        FormError: with a sentence for each field that is wrong, the picture's included.
    """
    fields, problems, hints = form.fields, _refusal(form, words), _hints(words)
    command, scene = UpdateCompanion(), UpdateScene()
    try:
        command = fill(UpdateCompanion, _texts(fields), words=words, hints=hints)
    except FormError as error:
        problems |= error.problems
    try:
        given = {name: fields[name].strip() for name in _SCENE if name in fields}
        scene = fill(UpdateScene, given, words=words, hints=hints)
    except FormError as error:
        problems |= error.problems
    if problems:
        raise FormError(problems)
    command.scene = scene if _says_another_scene(fields) else UNSET
    if "seen" not in fields:
        return command, ANYTHING
    seen_scene = fields.get("seen_scene") if command.scene is not UNSET else None
    return command, Seen(frozenset([fields["seen"]]), seen_scene)


def problems_of(error: FormError | HubError, words: Words) -> dict[str, str]:
    """Return what to say about what went wrong, by field."""
    if isinstance(error, FormError):
        return error.problems
    if isinstance(error, _ABOUT_PICTURES):
        return {PICTURE_FIELD: _about_picture(error, words)}
    return refused(error, words)


def _says_another_scene(fields: Mapping[str, str]) -> bool:
    if not all(name in fields for name in _SCENE):
        return any(name in fields for name in _SCENE)
    return tag_of(Scene(**{name: fields[name] for name in _SCENE})) != fields.get("seen_scene")


def _texts(fields: Mapping[str, str]) -> dict[str, str]:
    given = {name: fields[name] for name in _TEXTS if name in fields}
    return given | {name: given[name].strip() for name in ("name",) if name in given}


def _refusal(form: SentForm, words: Words) -> dict[str, str]:
    return {PICTURE_FIELD: _about_picture(form.refusal, words)} if form.refusal is not None else {}


def _about_picture(error: HubError, words: Words) -> str:
    if isinstance(error, UploadTooLargeError):
        return words.gettext(
            "A picture may have up to %(size)s MB. Please choose a smaller one.", size=PICTURE.limit_mb
        )
    return explain(error, words)


def _hints(words: Words) -> dict[str, str]:
    long = words.gettext("This may have up to 4,000 characters.")
    short = words.gettext("This may have up to 500 characters.")
    return {
        "name": words.gettext("Give it a name of 1 to 100 characters."),
        "description": words.gettext("Describe it in 10 to 8,000 characters."),
        **dict.fromkeys(("appearance", "user_appearance", "greeting"), long),
        **dict.fromkeys(("default_outfit", *_SCENE), short),
    }
