"""The pages of accounts, for administrators: who may come in, and by which invite."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import timedelta
from typing import Annotated, Any, NamedTuple
from urllib.parse import urlencode
from uuid import UUID

from litestar import Response, get, post
from litestar.exceptions import NotFoundException
from litestar.params import FromPath, Parameter, QueryParameter
from litestar.response import Redirect
from litestar.types import ControllerRouterHandler

from hub.core.clock import utc_now
from hub.core.errors import HubError
from hub.core.text import NO_NUL
from hub.domain.accounts import administration, invites
from hub.domain.accounts.schemas import AdminUser, CreateInvite, NewInvite, UpdateUser
from hub.live.events import UserSignedOut
from hub.process import Process
from hub.web.api.dependencies import Cursor, ProcessDependency
from hub.web.origins import came_by_https
from hub.web.pages.admin import ADMINISTRATORS
from hub.web.pages.forms import FormError, fill, read_form, show_again
from hub.web.pages.rendering import page, redirect, words_of
from hub.web.pages.words import N_, Words
from hub.web.requests import HubRequest

USERS = "/admin/users"
INVITES = "/admin/invites"

_ON_A_PAGE = 50
#: How long an invite may be good, by what the form sends.
_LIVES = {"1": N_("A day"), "7": N_("A week"), "30": N_("30 days")}

Begins = Annotated[str, QueryParameter(name="query", max_length=254, pattern=NO_NUL)]
ActionName = Annotated[str, Parameter(max_length=20)]


class Action(NamedTuple):
    """Something that an administrator does about an account, and how it is asked and told."""

    command: UpdateUser
    question: str
    consequence: str
    confirm: str
    done: str


_ACTIONS = {
    "disable": Action(
        UpdateUser(disabled=True),
        N_("Disable %(name)s?"),
        N_("They are signed out everywhere, their tokens stop working, and what is under way for them is"
           " cancelled. Nothing of theirs is deleted."),
        N_("Disable"),
        N_("%(name)s is disabled."),
    ),
    "enable": Action(
        UpdateUser(disabled=False),
        N_("Enable %(name)s again?"),
        N_("They can log in again, and their tokens work again."),
        N_("Enable"),
        N_("%(name)s can log in again."),
    ),
    "promote": Action(
        UpdateUser(role="admin"),
        N_("Make %(name)s an administrator?"),
        N_("Administrators manage users, also other administrators, and see how the server is."),
        N_("Make administrator"),
        N_("%(name)s is an administrator now."),
    ),
    "demote": Action(
        UpdateUser(role="user"),
        N_("Remove %(name)s as an administrator?"),
        N_("They can use the hub as everybody does."),
        N_("Remove as administrator"),
        N_("%(name)s is no administrator any more."),
    ),
}  # fmt: skip


@get(USERS, opt=ADMINISTRATORS)
async def show_users(request: HubRequest, begins: Begins = "", cursor: Cursor = None) -> Response[str]:
    """List the users, or those whose name or address begins so."""
    found = await administration.page(limit=_ON_A_PAGE, cursor=cursor, query=begins or None)
    return page(
        request,
        "admin_users.html",
        users=found,
        query=begins,
        is_first=cursor is None,
        section="admin",
        tab="users",
    )


@get("/admin/users/{user_id:uuid}/{name:str}", opt=ADMINISTRATORS)
async def change_user_form(
    request: HubRequest, user_id: FromPath[UUID], name: FromPath[ActionName]
) -> Response[str]:
    """Ask whether it is to be done."""
    action, user = _action(name), await administration.get(user_id)
    return page(request, "confirm.html", problems={}, **_question(request, action, user))


@post("/admin/users/{user_id:uuid}/{name:str}", opt=ADMINISTRATORS)
async def change_user(
    request: HubRequest, user_id: FromPath[UUID], name: FromPath[ActionName], process: ProcessDependency
) -> Response[str] | Redirect:
    """Do it, unless nobody could look after the server any more."""
    action, user = _action(name), await administration.get(user_id)
    try:
        ended = await process.clearing.change_account(user_id, action.command)
    except HubError as error:
        return show_again(request, "confirm.html", {}, error, **_question(request, action, user))
    for token_id in ended:
        process.bus.publish(UserSignedOut(token_id))
    notice = words_of(request).gettext(action.done, name=user.username)
    has_left = name == "demote" and user_id == request.user.user.id
    return redirect("/settings" if has_left else _found(user), notice=notice)


@get(INVITES, opt=ADMINISTRATORS)
async def show_invites(
    request: HubRequest, process: ProcessDependency, cursor: Cursor = None
) -> Response[str]:
    """List the invites that can still be used, with a form for another one."""
    listed = await _listed(process, cursor)
    return page(request, "admin_invites.html", values={"expires": "7"}, problems={}, **listed)


@post(INVITES, opt=ADMINISTRATORS)
async def make_invite(request: HubRequest, process: ProcessDependency) -> Response[str]:
    """Make an invite and show its link, this once."""
    fields, words = await read_form(request), words_of(request)
    try:
        command = _command(fields, words)
        invite = await invites.create(command, user_id=request.user.user.id)
    except (FormError, HubError) as error:
        return show_again(request, "admin_invites.html", fields, error, **await _listed(process, None))
    return page(
        request,
        "new_invite.html",
        status=201,
        invite=invite,
        link=_link(request, process, invite),
        path=INVITES,
        section="admin",
        tab="invites",
    )


@post("/admin/invites/{invite_id:uuid}/delete", opt=ADMINISTRATORS)
async def delete_invite(request: HubRequest, invite_id: FromPath[UUID]) -> Redirect:
    """Make an invite worthless."""
    await invites.delete(invite_id)
    return redirect(INVITES, notice=words_of(request).gettext("The invite is not valid any more."))


def _action(name: str) -> Action:
    if name not in _ACTIONS:
        raise NotFoundException
    return _ACTIONS[name]


def _question(request: HubRequest, action: Action, user: AdminUser) -> dict[str, Any]:
    words = words_of(request)
    return {
        "question": words.gettext(action.question, name=user.username),
        "consequences": [words.gettext(action.consequence)],
        "confirm": words.gettext(action.confirm),
        "is_dangerous": action.command.disabled is True or action.command.role == "user",
        "back": _found(user),
        "section": "admin",
    }


def _found(user: AdminUser) -> str:
    """Return the address of a list with this user in it."""
    return f"{USERS}?{urlencode({'query': user.username})}"


async def _listed(process: Process, cursor: str | None) -> dict[str, Any]:
    return {
        "invites": await invites.page(limit=_ON_A_PAGE, cursor=cursor),
        "is_first": cursor is None,
        "lives": _LIVES,
        "registration": process.settings.registration,
        "section": "admin",
        "tab": "invites",
    }


def _command(fields: Mapping[str, str], words: Words) -> CreateInvite:
    life = fields.get("expires", "")
    if life not in _LIVES:
        raise FormError({"expires": words.gettext("Choose one of these.")})
    given = {"note": fields.get("note", ""), "expires_at": utc_now() + timedelta(days=int(life))}
    return fill(
        CreateInvite, given, words=words, hints={"note": words.gettext("Use at most 100 characters.")}
    )


def _link(request: HubRequest, process: Process, invite: NewInvite) -> str:
    """Return the whole address, under which this server was asked just now."""
    scheme = "https" if came_by_https(request, process.settings) else "http"
    return f"{scheme}://{request.headers['host']}/register?{urlencode({'invite': invite.code})}"


USER_HANDLERS: list[ControllerRouterHandler] = [
    show_users,
    change_user_form,
    change_user,
    show_invites,
    make_invite,
    delete_invite,
]
