"""What the page says when something cannot be done, in the reader's language."""

from __future__ import annotations

import math
from http import HTTPStatus
from typing import Any
from urllib.parse import quote

from litestar import Request, Response
from litestar.exceptions import HTTPException
from structlog.contextvars import get_contextvars

from hub.core.errors import HubError
from hub.core.logging import get_logger
from hub.db.engine import UNAVAILABLE
from hub.domain.accounts.errors import NotSignedInError
from hub.web.pages.rendering import page, redirect, words_of
from hub.web.pages.words import N_, Words
from hub.web.problems import TITLES, handle_http_error

logger = get_logger(__name__)

AnyRequest = Request[Any, Any, Any]

#: Characters of an address that the log-in leads back to.
_LONGEST_NEXT = 1000
#: Seconds from which a time to wait is told in minutes.
_MINUTES_FROM = 120
#: Seconds beyond which it is told in hours.
_HOURS_BEYOND = 7200
#: What programs ask for, which read problem documents.
_FOR_CLIENTS = ("/api/", "/v1/", "/docs", "/assets/")

#: By the code of a business fact; what is not here is told as the API tells it.
_SENTENCES = {
    "wrong_login": N_("The name or the password is wrong. Please try again."),
    "wrong_password": N_("The current password is not right. Please try again."),
    "account_disabled": N_("This account is disabled. Ask the administrator of this server."),
    "username_taken": N_("This username is taken. Please choose another one."),
    "email_taken": N_("This email address is registered already. Log in, or use another one."),
    "common_password": N_("This password is on lists of common ones. Please choose another one."),
    "setup_link_invalid": N_("This set-up link is not valid any more. Start the hub again to get a new one."),
    "registration_closed": N_("Nobody can register here. Ask the administrator for an account."),
    "invite_required": N_("You need an invite to register here."),
    "invite_invalid": N_("This invite is not valid any more. Ask for another one."),
    "companion_not_found": N_("There is no such companion. It may have been deleted."),
    "conversation_not_found": N_("There is no such conversation. It may have been deleted."),
    "image_not_found": N_("There is no such picture. It may have been deleted."),
    "job_not_found": N_("There is no such picture under way. It may be there already, or be cancelled."),
    "no_recipe": N_("This picture was not painted here, so it cannot be painted again."),
    "token_not_found": N_("There is no such token. It may have been deleted or have expired."),
    "sign_in_not_found": N_("There is no such device. It may be signed out already."),
    "webhook_not_found": N_("There is no such webhook. It may have been deleted."),
    "user_not_found": N_("There is no such user. The account may have been deleted."),
    "invite_not_found": N_("There is no such invite. It may have been used or have expired."),
    "last_administrator": N_(
        "This is the last administrator. Make somebody else one first, or nobody can look after the server."
    ),
    "too_many_tokens": N_("You have as many tokens as one may have. Delete one that you do not need."),
    "unsupported_image": N_("This kind of file is not taken. Please choose a JPEG, PNG or WebP picture."),
    "unreadable_image": N_("This picture cannot be read; it may be damaged. Please choose another one."),
    "too_many_pixels": N_("This picture has too many pixels. Please choose a smaller one."),
    "empty_file": N_("This file is empty. Please choose another one."),
    "quota_exceeded": N_("Your pictures take all the room you have. Please delete some first."),
    "no_room": N_("The server's disk is full. Tell its operator, and try again later."),
    "storage_failed": N_("The server's disk cannot be used at the moment. Try again in a few seconds."),
    "images_unavailable": N_("Pictures cannot be taken at the moment. Try again in a few seconds."),
    "files_taken": N_("Pictures cannot be taken at the moment. Try again in a few seconds."),
    "stale_edit": N_("This was changed elsewhere meanwhile."),
    "not_found": N_("There is nothing at this address."),
    "not_allowed": N_("Only administrators may see this."),
    "origin_not_allowed": N_("This came from another web page, so it was not done."),
    "method_not_allowed": N_("This cannot be done here."),
    "too_large": N_("That was too much at once. Please send less."),
    "not_ready": N_("The server cannot do this at the moment. Try again in a few seconds."),
    "internal_error": N_("This is an error of the server. It has been noted in its log."),
}


def explain(error: HubError, words: Words) -> str:
    """Say a business fact in the reader's language, or as the API does where nobody has put it in words."""
    if error.status == HTTPStatus.TOO_MANY_REQUESTS and error.retry_after is not None:
        if error.retry_after > _HOURS_BEYOND:
            hours = math.ceil(error.retry_after / 3600)
            return words.gettext("That was a little much. Try again in %(hours)s hours.", hours=hours)
        if error.retry_after >= _MINUTES_FROM:
            minutes = math.ceil(error.retry_after / 60)
            return words.gettext("That was a little much. Try again in %(minutes)s minutes.", minutes=minutes)
        return words.gettext(
            "That was a little much. Try again in %(seconds)s seconds.", seconds=error.retry_after
        )
    return say(error.code, words) or f"{error.title}. {error}"


def say(code: str, words: Words) -> str:
    """Say what a code stands for in the reader's language; nothing where nobody has put it in words."""
    return words.gettext(_SENTENCES[code]) if code in _SENTENCES else ""


def show_hub_error(request: AnyRequest, error: HubError) -> Response[Any]:
    """Show a page about a business fact; who is not signed in may do so and come back."""
    if isinstance(error, NotSignedInError) and request.method == "GET":
        address = _address(request)
        return redirect(f"/login?next={quote(address)}" if len(address) <= _LONGEST_NEXT else "/login")
    if isinstance(error, NotSignedInError):
        return redirect("/login")
    shown = _show(request, error.status, explain(error, words_of(request)))
    if error.retry_after is not None:
        shown.headers["Retry-After"] = str(error.retry_after)
    return shown


def show_http_error(request: AnyRequest, error: HTTPException) -> Response[Any]:
    """Show a page about what the framework refuses."""
    status = error.status_code
    if status >= HTTPStatus.INTERNAL_SERVER_ERROR:
        logger.error("page failed", exc_info=error)
    # A parameter of an address that is not as it should be: there is no such page.
    status = HTTPStatus.NOT_FOUND if status == HTTPStatus.BAD_REQUEST and request.method == "GET" else status
    code, title = TITLES.get(status, ("http_error", HTTPStatus(status).phrase))
    return _show(request, status, say(code, words_of(request)) or title)


def handle_nothing_here(request: AnyRequest, error: HTTPException) -> Response[Any]:
    """Show a page to somebody whose browser asks for an address that there is not; clients get a problem."""
    wants_page = "text/html" in request.headers.get("accept", "") and request.method == "GET"
    if (
        error.status_code == HTTPStatus.NOT_FOUND
        and wants_page
        and not request.url.path.startswith(_FOR_CLIENTS)
    ):
        return show_http_error(request, error)
    return handle_http_error(request, error)


def show_unavailable(request: AnyRequest, error: Exception) -> Response[Any]:
    """Show that the database is away or cannot keep up."""
    logger.warning("database unavailable for a page", reason=type(error).__name__)
    shown = _show(request, 503, say("not_ready", words_of(request)))
    shown.headers["Retry-After"] = "2"
    return shown


def show_unexpected(request: AnyRequest, error: Exception) -> Response[Any]:
    """Show that it is a defect of ours."""
    logger.error("page failed", exc_info=error)
    return _show(request, 500, say("internal_error", words_of(request)))


def _show(request: AnyRequest, status: int, sentence: str) -> Response[Any]:
    request_id = str(get_contextvars().get("request_id", ""))
    return page(request, "error.html", status=status, sentence=sentence, code=status, request_id=request_id)


def _address(request: AnyRequest) -> str:
    query = request.scope["query_string"].decode("latin-1")
    return request.scope["path"] + (f"?{query}" if query else "")


EXCEPTION_HANDLERS: dict[int | type[Exception], Any] = {
    HubError: show_hub_error,
    HTTPException: show_http_error,
    **dict.fromkeys(UNAVAILABLE, show_unavailable),
    Exception: show_unexpected,
}
