"""The pages where somebody becomes somebody: set-up, register, log in, log out."""

from __future__ import annotations

from typing import Annotated

from litestar import Response, get, post
from litestar.params import Parameter, QueryParameter
from litestar.response import Redirect
from litestar.types import ControllerRouterHandler

from hub.core.errors import HubError
from hub.domain.accounts.errors import NotSignedInError
from hub.domain.accounts.schemas import LogIn, Register, SignIn
from hub.live.events import UserSignedOut
from hub.process import Process
from hub.web.api.dependencies import ClientsDependency, ProcessDependency
from hub.web.auth import identify
from hub.web.cookies import forgotten, session_cookie
from hub.web.origins import require_own_page
from hub.web.pages.forms import FormError, fill, read_form, show_again
from hub.web.pages.rendering import page, redirect, words_of
from hub.web.pages.words import Words
from hub.web.requests import HubRequest

#: Where somebody goes who was not on the way to anywhere.
HOME = "/companions"

Token = Annotated[str, Parameter(max_length=200)]
Next = Annotated[str, QueryParameter(name="next", max_length=1000)]
Invite = Annotated[str, Parameter(max_length=200)]

PUBLIC = {"exclude_from_auth": True}


@get("/", opt=PUBLIC)
async def index() -> Redirect:
    """Go where people begin."""
    return redirect(HOME)


@get("/setup", opt=PUBLIC)
async def set_up_form(request: HubRequest, token: Token = "") -> Response[str]:
    """Show the form that the one-time link leads to."""
    return page(request, "setup.html", values={"token": token}, problems={})


@post("/setup", opt=PUBLIC)
async def set_up(request: HubRequest, process: ProcessDependency) -> Response[str] | Redirect:
    """Create the administrator, and sign their browser in."""
    require_own_page(request, process.settings, or_no_page=True)
    fields, words = await read_form(request), words_of(request)
    try:
        command = fill(Register, fields, words=words, hints=_hints(words))
        sign_in = await process.accounts.create_admin(command, setup_token=fields.get("token", ""))
    except (FormError, HubError) as error:
        return show_again(request, "setup.html", fields, error)
    await process.samples.welcome(sign_in.user.id, language=words.language)
    notice = words.gettext("%(name)s is the administrator now. Welcome!", name=sign_in.user.username)
    return _signed_in(request, process, sign_in, HOME, notice=notice)


@get("/login", opt=PUBLIC)
async def log_in_form(
    request: HubRequest, process: ProcessDependency, after: Next = ""
) -> Response[str] | Redirect:
    """Show the form; who is signed in already goes on."""
    if await _is_signed_in(request, process):
        return redirect(own_path(after))
    return page(
        request,
        "login.html",
        values={"next": after},
        problems={},
        registration=process.settings.registration,
    )


@post("/login", opt=PUBLIC)
async def log_in(
    request: HubRequest, process: ProcessDependency, clients: ClientsDependency
) -> Response[str] | Redirect:
    """Sign a browser in."""
    require_own_page(request, process.settings, or_no_page=True)
    fields, words = await read_form(request), words_of(request)
    try:
        command = fill(LogIn, fields, words=words)
        sign_in = await process.accounts.log_in(command, address=clients.address_of(request.scope))
    except (FormError, HubError) as error:
        registration = process.settings.registration
        return show_again(request, "login.html", fields, error, registration=registration)
    return _signed_in(request, process, sign_in, own_path(fields.get("next", "")))


@get("/register", opt=PUBLIC)
async def register_form(
    request: HubRequest, process: ProcessDependency, invite: Invite = ""
) -> Response[str]:
    """Show the form; an invite may be in the link."""
    registration = process.settings.registration
    return page(request, "register.html", values={"invite": invite}, problems={}, registration=registration)


@post("/register", opt=PUBLIC)
async def register(
    request: HubRequest, process: ProcessDependency, clients: ClientsDependency
) -> Response[str] | Redirect:
    """Create an account, and sign its browser in."""
    require_own_page(request, process.settings, or_no_page=True)
    fields, words = await read_form(request), words_of(request)
    try:
        given = {name: value for name, value in fields.items() if value}
        command = fill(Register, given, words=words, hints=_hints(words))
        sign_in = await process.accounts.register(command, address=clients.address_of(request.scope))
    except (FormError, HubError) as error:
        registration = process.settings.registration
        return show_again(request, "register.html", fields, error, registration=registration)
    notice = words.gettext("Welcome, %(name)s!", name=sign_in.user.display_name)
    return _signed_in(request, process, sign_in, HOME, notice=notice)


@post("/logout")
async def log_out(request: HubRequest, process: ProcessDependency) -> Redirect:
    """End the sign-in of this browser."""
    await process.accounts.log_out(request.user)
    process.bus.publish(UserSignedOut(request.user.token_id))
    notice = words_of(request).gettext("You are logged out.")
    return redirect("/login", notice=notice, cookies=forgotten(request, process.settings))


def _signed_in(
    request: HubRequest, process: Process, sign_in: SignIn, path: str, *, notice: str = ""
) -> Redirect:
    return redirect(path, notice=notice, cookies=[session_cookie(sign_in, request, process.settings)])


def _hints(words: Words) -> dict[str, str]:
    return {
        "username": words.gettext("Use 3 to 20 of the letters a-z, digits and _."),
        "email": words.gettext("This is not an email address."),
        "password": words.gettext("Use 8 to 128 characters."),
    }


async def _is_signed_in(request: HubRequest, process: Process) -> bool:
    try:
        await identify(request, process.accounts)
    except NotSignedInError:
        return False
    return True


def own_path(path: str) -> str:
    """Return a path of this server to go on to, never another server's."""
    is_own = path.startswith("/") and not path.startswith(("//", "/\\"))
    return path if is_own and path.isascii() and path.isprintable() else HOME


SIGN_IN_HANDLERS: list[ControllerRouterHandler] = [
    index,
    set_up_form,
    set_up,
    log_in_form,
    log_in,
    register_form,
    register,
    log_out,
]
