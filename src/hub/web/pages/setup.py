"""The pages that a browser finds: a greeting at ``/`` and the one-time set-up of the administrator."""

from __future__ import annotations

from html import escape
from typing import Annotated, Any
from urllib.parse import parse_qs

import msgspec
from litestar import Request, get, post
from litestar.params import Parameter
from litestar.response import Response

import hub
from hub.core.errors import HubError, InvalidRequestError
from hub.domain.accounts.schemas import Register
from hub.web.api.dependencies import ProcessDependency

_HEADERS = {
    "Content-Security-Policy": "default-src 'none'; style-src 'self'; form-action 'self'; base-uri 'none'",
    "Referrer-Policy": "no-referrer",
    "X-Content-Type-Options": "nosniff",
    "Cache-Control": "no-store",
}

_PAGE = """<!doctype html>
<html lang="en"><head><meta charset="utf-8"><meta name="viewport" content="width=device-width">
<title>{title}</title></head><body><main><h1>{title}</h1>{body}</main></body></html>"""

_FORM = """<p>This creates the administrator of this server. The link works once.</p>{problem}
<form method="post" action="/setup"><input type="hidden" name="token" value="{token}">
<p><label>Username <input name="username" required minlength="3" maxlength="20" pattern="[a-z0-9_]+"
 autocomplete="username" value="{username}"></label> (a-z, 0-9 and _)</p>
<p><label>Email <input name="email" type="email" required autocomplete="email" value="{email}"></label></p>
<p><label>Password <input name="password" type="password" required minlength="8" maxlength="128"
 autocomplete="new-password"></label> (8 characters or more)</p>
<p><button>Create administrator</button></p></form>"""

Token = Annotated[str, Parameter(max_length=200)]


def _page(title: str, body: str, *, status: int = 200) -> Response[str]:
    content = _PAGE.format(title=escape(title), body=body)
    return Response(content, status_code=status, media_type="text/html", headers=_HEADERS)


@get("/", opt={"exclude_from_auth": True}, include_in_schema=False)
async def index() -> Response[str]:
    """Say what this is and where to go."""
    body = (
        f"<p>Version {escape(hub.__version__)} is running.</p>"
        '<p><a href="/docs">API documentation</a> · <a href="/api/health">Health</a></p>'
    )
    return _page("Companion Hub", body)


@get("/setup", opt={"exclude_from_auth": True}, include_in_schema=False)
async def setup_form(token: Token = "") -> Response[str]:
    """Show the form that the one-time link leads to."""
    return _page("Set up Companion Hub", _form(token))


@post("/setup", opt={"exclude_from_auth": True}, include_in_schema=False, status_code=200)
async def set_up(request: Request[Any, Any, Any], process: ProcessDependency) -> Response[str]:
    """Create the administrator."""
    fields = {
        name: values[0]
        for name, values in parse_qs((await request.body()).decode("utf-8", "replace")).items()
    }
    try:
        command = msgspec.convert(
            {name: fields.get(name, "") for name in ("username", "email", "password")}, Register
        )
        sign_in = await process.accounts.create_admin(command, setup_token=fields.get("token", ""))
    except (HubError, msgspec.ValidationError) as error:
        return _page(
            "Set up Companion Hub", _form(fields.get("token", ""), fields, _sentence(error)), status=400
        )
    name = escape(sign_in.user.username)
    return _page(
        "Welcome", f'<p>{name} is the administrator now.</p><p><a href="/docs">Go on to the API</a></p>'
    )


def _form(token: str, fields: dict[str, str] | None = None, problem: str = "") -> str:
    fields = fields or {}
    return _FORM.format(
        token=escape(token, quote=True),
        username=escape(fields.get("username", ""), quote=True),
        email=escape(fields.get("email", ""), quote=True),
        problem=f'<p role="alert"><strong>{escape(problem)}</strong></p>' if problem else "",
    )


def _sentence(error: HubError | msgspec.ValidationError) -> str:
    if isinstance(error, InvalidRequestError):
        return error.errors[0].detail
    if isinstance(error, HubError):
        return f"{error.title}. {error}"
    return "Check username, email and password: something is missing, too short or too long."
