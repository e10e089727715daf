"""Who is asking: the token of a request, and the identity behind it."""

from __future__ import annotations

from typing import Any

from litestar.connection import ASGIConnection
from litestar.middleware.authentication import AbstractAuthenticationMiddleware, AuthenticationResult
from structlog.contextvars import bind_contextvars

from hub.domain.accounts.errors import NotAllowedError, NotSignedInError
from hub.domain.accounts.schemas import Identity
from hub.domain.accounts.service import AccountService

_TOKEN_LIMIT = 200


def token_of(connection: ASGIConnection[Any, Any, Any, Any]) -> str | None:
    """Return the token that a request carries: ``Authorization: Bearer`` or ``x-api-key``."""
    scheme, _, token = connection.headers.get("authorization", "").partition(" ")
    if scheme.lower() == "bearer" and token.strip():
        return token.strip()[:_TOKEN_LIMIT]
    key = connection.headers.get("x-api-key", "").strip()
    return key[:_TOKEN_LIMIT] or None


async def identify(connection: ASGIConnection[Any, Any, Any, Any], accounts: AccountService) -> Identity:
    """Return who is asking.

    Raises:
        NotSignedInError: nobody we know.
    """
    token = token_of(connection)
    if token is None:
        raise NotSignedInError("Sign in and send the token as 'Authorization: Bearer <token>'.")
    identity = await accounts.identify(token)
    bind_contextvars(user_id=str(identity.user.id))
    return identity


def require_admin(identity: Identity) -> None:
    """Return if an administrator is asking.

    Raises:
        NotAllowedError: somebody else is.
    """
    if identity.user.role != "admin":
        raise NotAllowedError("Ask an administrator of this server.")


class Authentication(AbstractAuthenticationMiddleware):
    """Lets HTTP requests through only with a valid token; routes opt out with ``exclude_from_auth``."""

    async def authenticate_request(
        self, connection: ASGIConnection[Any, Any, Any, Any]
    ) -> AuthenticationResult:
        """Find the identity, which handlers get as ``request.user``."""
        identity = await identify(connection, connection.app.state.process.accounts)
        return AuthenticationResult(user=identity, auth=None)
