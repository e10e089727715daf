"""Forms that a browser sends, read into the same types that the API takes."""

from __future__ import annotations

from collections.abc import Mapping
from http import HTTPStatus
from typing import Any, TypeVar
from urllib.parse import parse_qs

import msgspec
from litestar import Response

from hub.core.errors import HubError, InvalidRequestError
from hub.web.pages.problems import explain, say
from hub.web.pages.rendering import page, words_of
from hub.web.pages.words import Words
from hub.web.requests import HubRequest, UnsupportedMediaTypeError, every_error

Target = TypeVar("Target", bound=msgspec.Struct)

_URLENCODED = "application/x-www-form-urlencoded"
_MOST_FIELDS = 100
#: Facts that are about one field.
_ABOUT = {"username_taken": "username", "email_taken": "email", "wrong_password": "current_password"}


class FormError(Exception):
    """What is wrong with a form: ``problems`` by the field's name, of the whole of it by ``""``."""

    def __init__(self, problems: dict[str, str]) -> None:
        super().__init__("the form cannot be taken")
        self.problems = problems


async def read_form(request: HubRequest) -> dict[str, str]:
    """Return the fields of a form; of a field that is sent twice, the first.

    Raises:
        UnsupportedMediaTypeError: it is not sent as a form.
    """
    body = await request.body()
    media_type = request.headers.get("content-type", _URLENCODED).partition(";")[0].strip().lower()
    if media_type != _URLENCODED:
        raise UnsupportedMediaTypeError("Send the form as a browser does.")
    return parse_fields(body)


def parse_fields(body: bytes) -> dict[str, str]:
    """Decode the fields of an urlencoded form."""
    try:
        fields = parse_qs(
            body.decode("utf-8", "replace"), keep_blank_values=True, max_num_fields=_MOST_FIELDS
        )
    except ValueError:
        return {}
    # Browsers send line breaks as two characters.
    return {name: values[0].replace("\r\n", "\n") for name, values in fields.items()}


def fill(
    target: type[Target], fields: Mapping[str, Any], *, words: Words, hints: Mapping[str, str] | None = None
) -> Target:
    """Make the command of a form's fields.

    Args:
        target: the command's type; fields that it does not know are left out.
        fields: by name.
        words: the language to complain in.
        hints: what each field may hold, said where it does not.

    Raises:
        FormError: with a sentence for each field that is wrong.
    """
    known = {field.encode_name for field in msgspec.structs.fields(target)}
    given = {name: value for name, value in fields.items() if name in known}
    try:
        return msgspec.convert(given, target)
    except msgspec.ValidationError as error:
        names = [part.pointer.split("/")[1] for part in every_error(given, target, error) if part.pointer]
        otherwise = words.gettext("Please check this: something is missing, too short or too long.")
        raise FormError(
            {name: (hints or {}).get(name, otherwise) for name in names} or {"": otherwise}
        ) from None


def refused(error: HubError, words: Words) -> dict[str, str]:
    """Return what to say in a form about a business fact, by field where it is about one."""
    if isinstance(error, InvalidRequestError):
        return {
            part.pointer.removeprefix("/"): say(error.code, words) or part.detail for part in error.errors
        }
    return {_ABOUT.get(error.code, ""): explain(error, words)}


def show_again(
    request: HubRequest,
    template: str,
    fields: Mapping[str, str],
    error: FormError | HubError,
    **more: object,
) -> Response[str]:
    """Show a form once more, with what is wrong; passwords are typed again.

    Templates get ``values`` (what was typed), ``problems``, and ``more``.
    """
    problems = error.problems if isinstance(error, FormError) else refused(error, words_of(request))
    status: int = HTTPStatus.BAD_REQUEST
    if isinstance(error, HubError) and error.status >= HTTPStatus.TOO_MANY_REQUESTS:
        status = error.status
    values = {name: value for name, value in fields.items() if not name.endswith("password")}
    shown = page(request, template, status=status, **{"values": values, "problems": problems, **more})
    if isinstance(error, HubError) and error.retry_after is not None:
        shown.headers["Retry-After"] = str(error.retry_after)
    return shown
