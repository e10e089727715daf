"""The pages of what stands for a user: tokens of programs, and the devices that one is signed in on."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import timedelta
from typing import Any
from uuid import UUID

from litestar import Response, get, post
from litestar.params import FromPath
from litestar.response import Redirect
from litestar.types import ControllerRouterHandler

from hub.core.clock import utc_now
from hub.core.errors import HubError
from hub.domain.accounts import personal_tokens, sign_ins
from hub.domain.accounts.schemas import SCOPES, CreatePersonalToken
from hub.live.events import UserSignedOut
from hub.web.api.dependencies import Cursor, ProcessDependency
from hub.web.pages.forms import FormError, fill, read_form, show_again
from hub.web.pages.rendering import page, redirect, words_of
from hub.web.pages.words import N_, Words
from hub.web.requests import HubRequest

TOKENS = "/settings/tokens"
DEVICES = "/settings/devices"

_ON_A_PAGE = 20
_TAB = {"section": "settings", "tab": "tokens"}
#: How long a token may be good, by what the form sends.
_LIVES = {
    "30": N_("30 days"),
    "90": N_("90 days"),
    "365": N_("A year"),
    "never": N_("Until I delete it"),
}
_MEANINGS = {
    "read": N_("See companions, conversations and pictures"),
    "chat": N_("Talk with companions, also as a model of the OpenAI API"),
    "write": N_("Create, change and delete"),
    "admin": N_("What only administrators may do"),
}


@get(TOKENS)
async def show_tokens(request: HubRequest, cursor: Cursor = None) -> Response[str]:
    """List one's tokens, with a form for another one."""
    values = {"expires": "90", "scope_read": "on", "scope_chat": "on"}
    return page(request, "tokens.html", values=values, problems={}, **await _listed(request, cursor))


@post(TOKENS)
async def make_token(request: HubRequest) -> Response[str]:
    """Make a token and show it, this once."""
    fields, words = await read_form(request), words_of(request)
    try:
        command = _command(fields, words)
        token = await personal_tokens.create(command, user=request.user.user)
    except (FormError, HubError) as error:
        return show_again(request, "tokens.html", fields, error, **await _listed(request, None))
    return page(request, "new_token.html", status=201, token=token, path=TOKENS, **_TAB)


@get("/settings/tokens/{token_id:uuid}/delete")
async def delete_token_form(request: HubRequest, token_id: FromPath[UUID]) -> Response[str]:
    """Ask whether the token is to go."""
    token = await personal_tokens.get(token_id, user_id=request.user.user.id)
    words = words_of(request)
    return page(
        request,
        "confirm.html",
        question=words.gettext("Delete the token “%(name)s”?", name=token.name),
        consequences=[words.gettext("Programs that use it cannot do anything any more, at once.")],
        confirm=words.gettext("Delete token"),
        back=TOKENS,
        problems={},
        section="settings",
    )


@post("/settings/tokens/{token_id:uuid}/delete")
async def delete_token(request: HubRequest, token_id: FromPath[UUID], process: ProcessDependency) -> Redirect:
    """Make a token worthless."""
    await personal_tokens.delete(token_id, user_id=request.user.user.id)
    process.bus.publish(UserSignedOut(token_id))
    return redirect(TOKENS, notice=words_of(request).gettext("The token is deleted."))


@get(DEVICES)
async def show_devices(request: HubRequest, cursor: Cursor = None) -> Response[str]:
    """List where one is signed in."""
    devices = await sign_ins.page(request.user, limit=_ON_A_PAGE, cursor=cursor)
    return page(
        request, "devices.html", devices=devices, is_first=cursor is None, section="settings", tab="devices"
    )


@post("/settings/devices/{sign_in_id:uuid}/end")
async def end_sign_in(
    request: HubRequest, sign_in_id: FromPath[UUID], process: ProcessDependency
) -> Redirect:
    """Sign a device out."""
    await sign_ins.end(sign_in_id, user_id=request.user.user.id)
    process.bus.publish(UserSignedOut(sign_in_id))
    return redirect(DEVICES, notice=words_of(request).gettext("That device is signed out."))


async def _listed(request: HubRequest, cursor: str | None) -> dict[str, Any]:
    user = request.user.user
    return {
        "tokens": await personal_tokens.page(user_id=user.id, limit=_ON_A_PAGE, cursor=cursor),
        "is_first": cursor is None,
        "scopes": {scope: _MEANINGS[scope] for scope in SCOPES if scope != "admin" or user.role == "admin"},
        "lives": _LIVES,
        "now": utc_now(),
        **_TAB,
    }


def _command(fields: Mapping[str, str], words: Words) -> CreatePersonalToken:
    life = fields.get("expires", "")
    if life not in _LIVES:
        raise FormError({"expires": words.gettext("Choose one of these.")})
    given = {
        "name": fields.get("name", ""),
        "scopes": [scope for scope in SCOPES if f"scope_{scope}" in fields],
        "expires_at": None if life == "never" else utc_now() + timedelta(days=int(life)),
    }
    return fill(
        CreatePersonalToken, given, words=words, hints={"name": words.gettext("Use 1 to 100 characters.")}
    )


TOKEN_HANDLERS: list[ControllerRouterHandler] = [
    show_tokens,
    make_token,
    delete_token_form,
    delete_token,
    show_devices,
    end_sign_in,
]
