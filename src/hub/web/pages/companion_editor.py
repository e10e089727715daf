"""The pages on which somebody writes a companion: a new one, or one that is there already."""

from __future__ import annotations

from http import HTTPStatus
from uuid import UUID

from litestar import Response, get, post
from litestar.params import FromPath
from litestar.response import Redirect
from litestar.types import ControllerRouterHandler
from msgspec import UNSET

from hub.core.errors import HubError
from hub.core.etags import StaleEditError
from hub.domain.companions import service as companions
from hub.domain.companions.editor import Upload
from hub.domain.companions.errors import CompanionNotFoundError
from hub.domain.companions.schemas import DEFAULT_OUTFIT, Companion
from hub.domain.limits.errors import TooManyRequestsError
from hub.domain.limits.service import Action
from hub.process import Process
from hub.web.api.dependencies import ProcessDependency
from hub.web.pages.companion_forms import (
    PICTURE_FIELD,
    changed_elsewhere,
    changes,
    creation,
    problems_of,
    tags_of,
    values_of,
)
from hub.web.pages.forms import FormError
from hub.web.pages.rendering import page, redirect, words_of
from hub.web.pages.upload_forms import SentForm, received_form
from hub.web.requests import HubRequest
from hub.web.uploads import PICTURE

Answer = Response[str] | Response[None] | Redirect


@get("/companions/new")
async def new_companion(request: HubRequest) -> Response[str]:
    """Show an empty form."""
    return _editor(request, None, {"default_outfit": DEFAULT_OUTFIT}, {})


@post("/companions/new", request_max_body_size=None)
async def create_companion(request: HubRequest, process: ProcessDependency) -> Answer:
    """Make a companion, with the picture that was sent."""
    words, user_id = words_of(request), request.user.user.id
    over = await _count(process, Action.CREATE, user_id)
    process.images.processes.warm()
    async with received_form(request, process.images.files, name=PICTURE_FIELD, refusal=over) as form:
        if over is not None:
            return _again(request, None, form, over)
        try:
            command = creation(form, words)
            companion = await process.editor.create(command, _picture(form), user_id=user_id)
        except (FormError, HubError) as error:
            await _forgive(process, Action.CREATE, user_id, form, error)
            return _again(request, None, form, error)
    notice = words.gettext("%(name)s is here. Say hello!", name=companion.name)
    return _go_on(request, f"/companions/{companion.id}", notice)


@get("/companions/{companion_id:uuid}/edit")
async def edit_companion(request: HubRequest, companion_id: FromPath[UUID]) -> Response[str]:
    """Show the form with all that a companion is."""
    companion = await companions.get(companion_id, user_id=request.user.user.id)
    return _editor(request, companion, values_of(companion), {})


@post("/companions/{companion_id:uuid}/edit", request_max_body_size=None)
async def save_companion(
    request: HubRequest, companion_id: FromPath[UUID], process: ProcessDependency
) -> Answer:
    """Change a companion and its picture, unless it has been changed since the form was shown."""
    words, user_id = words_of(request), request.user.user.id
    companion = await companions.get(companion_id, user_id=user_id)  # before the work
    over = await _count(process, Action.EDIT, user_id)
    process.images.processes.warm()
    async with received_form(request, process.images.files, name=PICTURE_FIELD, refusal=over) as form:
        if over is not None:
            return _again(request, companion, form, over)
        try:
            command, expected = changes(form, words)
            await process.editor.update(
                companion_id,
                command,
                _picture(form),
                user_id=user_id,
                removes_picture="remove_picture" in form.fields,
                expected=expected,
            )
        except CompanionNotFoundError:
            raise
        except (FormError, HubError) as error:
            await _forgive(process, Action.EDIT, user_id, form, error)
            return _again(request, await companions.get(companion_id, user_id=user_id), form, error)
    if command.scene is not UNSET:
        await process.chat.tell_scene(companion_id)
    return _go_on(request, f"/companions/{companion_id}", words.gettext("Saved."))


async def _count(process: Process, action: Action, user_id: UUID) -> TooManyRequestsError | None:
    """Count a form before it is received, whatever is in it; return why it is one too many."""
    try:
        await process.limits.take(action, user_id)
    except TooManyRequestsError as error:
        return error
    return None


async def _forgive(
    process: Process, action: Action, user_id: UUID, form: SentForm, error: FormError | HubError
) -> None:
    """Do not count a form that the hub could not store, nor one that was mistyped and came without a file."""
    told = error if isinstance(error, HubError) else form.refusal
    is_ours = told is not None and told.status >= HTTPStatus.INTERNAL_SERVER_ERROR
    if is_ours or (told is None and not form.had_file):
        await process.limits.give_back(action, user_id)


def _picture(form: SentForm) -> Upload | None:
    return Upload(form.file.path, form.size) if form.file is not None else None


def _again(
    request: HubRequest, companion: Companion | None, form: SentForm, error: FormError | HubError
) -> Response[str]:
    """Show a form once more, as it was typed, with what is wrong."""
    problems = problems_of(error, words_of(request))
    values, elsewhere = dict(form.fields), dict[str, str]()
    if isinstance(error, StaleEditError) and companion is not None:
        elsewhere = changed_elsewhere(values, companion)
        values |= tags_of(companion)  # who saves once more has seen it
    told = error if isinstance(error, HubError) else form.refusal
    status = told.status if told is not None else 400
    picture_again = form.had_file and PICTURE_FIELD not in problems
    shown = _editor(
        request,
        companion,
        values,
        problems,
        status=status,
        is_stale=isinstance(error, StaleEditError),
        elsewhere=elsewhere,
        picture_again=picture_again,
    )
    if isinstance(error, HubError) and error.retry_after is not None:
        shown.headers["Retry-After"] = str(error.retry_after)
    return shown


def _editor(
    request: HubRequest,
    companion: Companion | None,
    values: dict[str, str],
    problems: dict[str, str],
    *,
    status: int = 200,
    is_stale: bool = False,
    elsewhere: dict[str, str] | None = None,
    picture_again: bool = False,
) -> Response[str]:
    return page(
        request,
        "companion_editor.html",
        status=status,
        section="companions",
        companion=companion,
        values=values,
        problems=problems,
        is_stale=is_stale,
        elsewhere=elsewhere or {},
        picture_again=picture_again,
        picture=PICTURE,
    )


def _go_on(request: HubRequest, path: str, notice: str) -> Response[None] | Redirect:
    """Send a browser on; a script that has sent the form is told where to, and takes the browser there."""
    answer = redirect(path, notice=notice)
    if request.headers.get("x-requested-with") != "XMLHttpRequest":
        return answer
    headers = {"Location": path, "Cache-Control": "no-store"}
    return Response(None, status_code=204, headers=headers, cookies=answer.cookies)


EDITOR_HANDLERS: list[ControllerRouterHandler] = [
    new_companion,
    create_companion,
    edit_companion,
    save_companion,
]
