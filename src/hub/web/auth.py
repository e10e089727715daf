"""Who is asking: the token of a request, and the identity behind it."""

from __future__ import annotations

from typing import Any

from litestar.connection import ASGIConnection
from litestar.middleware.authentication import AbstractAuthenticationMiddleware, AuthenticationResult
from structlog.contextvars import bind_contextvars

from hub.domain.accounts.errors import InsufficientScopeError, NotAllowedError, NotSignedInError
from hub.domain.accounts.schemas import Identity
from hub.domain.accounts.service import AccountService
from hub.web.cookies import token_in_cookie
from hub.web.origins import require_own_page

#: The ``scopes`` of a route that every personal access token may ask, even one without any scope.
EVERY_TOKEN = ("*",)

_ADMIN_ONLY = ("admin",)
_TOKEN_LIMIT = 200
#: Those that change nothing, whichever page has them sent.
_SAFE_METHODS = ("GET", "HEAD", "OPTIONS")


def token_of(connection: ASGIConnection[Any, Any, Any, Any]) -> str | None:
    """Return the token that a request carries: ``Authorization: Bearer`` or ``x-api-key``.

    Raises:
        NotSignedInError: it carries two different ones, and nobody could tell whose the request is.
    """
    scheme, _, token = connection.headers.get("authorization", "").partition(" ")
    token = token.strip() if scheme.lower() == "bearer" else ""
    key = connection.headers.get("x-api-key", "").strip()
    if token and key and token != key:
        raise NotSignedInError("Two different tokens were sent. Send one, as 'Authorization' or 'x-api-key'.")
    return (token or key)[:_TOKEN_LIMIT] or None


async def identify(connection: ASGIConnection[Any, Any, Any, Any], accounts: AccountService) -> Identity:
    """Return who is asking: by a token, else by a cookie.

    Raises:
        NotSignedInError: nobody we know.
        OriginNotAllowedError: a browser, made to ask by somebody else's page.
    """
    token = token_of(connection) or _token_in_cookie(connection)
    if token is None:
        raise NotSignedInError("Sign in and send the token as 'Authorization: Bearer <token>'.")
    identity = await accounts.identify(token)
    bind_contextvars(user_id=str(identity.user.id))
    return identity


def _token_in_cookie(connection: ASGIConnection[Any, Any, Any, Any]) -> str | None:
    """Return what a browser sends by itself, if nobody else's page makes it do something by that."""
    settings = connection.app.state.process.settings
    token = token_in_cookie(connection, settings)
    if token is not None and connection.scope.get("method") not in _SAFE_METHODS:  # a socket has no method
        require_own_page(connection, settings)
    return token[:_TOKEN_LIMIT] if token is not None else None


def require_scope(identity: Identity, scopes: tuple[str, ...]) -> None:
    """Return if a caller may ask for something that needs one of these scopes.

    A sign-in needs none; what names no scope at all is for sign-ins only. Where ``admin`` is the only one,
    the user has to be an administrator too, however they came in.

    Raises:
        InsufficientScopeError: the token was not made for this.
        NotAllowedError: the user is no administrator.
    """
    if scopes != EVERY_TOKEN and not identity.may(*scopes):
        if not scopes:
            raise InsufficientScopeError("Sign in with username and password for this.")
        wanted = " or ".join(f"'{scope}'" for scope in scopes)
        raise InsufficientScopeError(f"Use a token with the scope {wanted}, or sign in.")
    if scopes == _ADMIN_ONLY and identity.user.role != "admin":
        raise NotAllowedError("Ask an administrator of this server.")


class Authentication(AbstractAuthenticationMiddleware):
    """Lets HTTP requests through only with a valid token that may do what the route does.

    Routes say so by ``opt={"scopes": (...)}``, see :func:`require_scope`, and opt out of everything with
    ``exclude_from_auth``.
    """

    async def authenticate_request(
        self, connection: ASGIConnection[Any, Any, Any, Any]
    ) -> AuthenticationResult:
        """Find the identity, which handlers get as ``request.user``."""
        identity = await identify(connection, connection.app.state.process.accounts)
        require_scope(identity, connection.route_handler.opt.get("scopes", ()))
        return AuthenticationResult(user=identity, auth=None)
