"""Behind proxies and in production: when a browser's cookie is a secure one, and which pages are our own."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import msgspec
import pytest
from litestar.connection import ASGIConnection

from hub.core.clock import utc_now
from hub.core.ids import new_id
from hub.core.settings import Settings
from hub.domain.accounts.schemas import SignIn, User
from hub.web.cookies import forgotten, session_cookie, token_in_cookie
from hub.web.origins import OriginNotAllowedError, came_by_https, require_own_page

PROXY = "10.0.0.2"
DEVELOPMENT = Settings(data_dir=Path("data"), trusted_proxies=("10.0.0.0/24", "fd00::/8"))
PRODUCTION = msgspec.structs.replace(DEVELOPMENT, env="production")
NOW = utc_now()
SIGN_IN = SignIn(
    user=User(
        id=new_id(), username="x", email="x@example.org", display_name="x", role="user", created_at=NOW
    ),
    access_token="chub_token",
    expires_at=NOW,
)


def asked(host: str, *, scheme: str = "http", peer: str = "127.0.0.1", **headers: str) -> Any:
    given = {"host": host, **{name.replace("_", "-"): value for name, value in headers.items()}}
    return ASGIConnection(
        {
            "type": "http",
            "scheme": scheme,
            "client": (peer, 1),
            "headers": [(name.encode(), value.encode()) for name, value in given.items()],
        }  # type: ignore[arg-type] # what of a scope is looked at
    )


@pytest.mark.parametrize(
    ("connection", "settings", "is_https"),
    [
        (asked("localhost:8000"), DEVELOPMENT, False),
        (asked("hub.example"), DEVELOPMENT, False),
        (asked("hub.example", scheme="https"), DEVELOPMENT, True),
        (asked("hub.example", scheme="wss"), DEVELOPMENT, True),
        (asked("hub.example"), PRODUCTION, True),
        (asked("localhost"), PRODUCTION, False),
        (asked("hub.localhost:1"), PRODUCTION, False),
        (asked("127.0.0.1:8000"), PRODUCTION, False),
        (asked("[::1]:8000"), PRODUCTION, False),
        (asked("192.168.1.7"), PRODUCTION, False),
        (asked("hub.example", x_forwarded_proto="https"), DEVELOPMENT, False),  # who says so is nobody
        (asked("hub.example", peer=PROXY, x_forwarded_proto="https"), DEVELOPMENT, True),
        (asked("hub.example", peer="::ffff:10.0.0.2", x_forwarded_proto="https"), DEVELOPMENT, True),
        (asked("hub.example", peer="fd00::1", x_forwarded_proto="HTTPS"), DEVELOPMENT, True),
        (asked("hub.example", peer=PROXY, x_forwarded_proto="https, http"), DEVELOPMENT, False),
        (asked("hub.example", peer=PROXY, x_forwarded_proto="http"), PRODUCTION, False),
        (asked("hub.example", peer=PROXY), PRODUCTION, True),
    ],
)
def test_whether_a_browser_asked_by_https(connection: Any, settings: Settings, *, is_https: bool) -> None:
    assert came_by_https(connection, settings) == is_https
    cookie = session_cookie(SIGN_IN, connection, settings)
    assert cookie.secure == is_https
    assert cookie.key == ("__Host-hub_session" if is_https else "hub_session")
    assert (cookie.path, cookie.domain, cookie.httponly) == ("/", None, True)


def test_over_https_no_other_cookie_counts() -> None:
    both = "hub_session=planted; __Host-hub_session=own"
    assert token_in_cookie(asked("hub.example", scheme="https", cookie=both), PRODUCTION) == "own"
    planted = asked("hub.example", scheme="https", cookie="hub_session=planted")
    assert token_in_cookie(planted, PRODUCTION) is None
    assert forgotten(planted, PRODUCTION) == []
    assert token_in_cookie(asked("localhost", cookie=both), PRODUCTION) == "planted"


@pytest.mark.parametrize(
    ("host", "scheme", "origin", "is_own"),
    [
        ("hub.example", "https", "https://hub.example", True),
        ("hub.example:443", "https", "https://hub.example", True),
        ("HUB.example", "https", "https://hub.example", True),
        ("hub.example:8443", "https", "https://hub.example:8443", True),
        ("hub.example", "http", "https://hub.example", True),  # a proxy that is not trusted has ended https
        ("hub.example", "http", "http://hub.example", True),
        ("hub.example:80", "http", "http://hub.example", True),
        ("[::1]:8000", "http", "http://[::1]:8000", True),
        ("hub.example", "https", "http://hub.example", False),  # whoever is on the line writes such pages
        ("hub.example:8443", "https", "https://hub.example", False),
        ("hub.example", "https", "https://sub.hub.example", False),
        ("hub.example", "https", "https://example", False),
        ("hub.example", "https", "ftp://hub.example", False),
        ("hub.example", "https", "hub.example", False),
        ("", "https", "https://", False),
    ],
)
def test_which_pages_are_our_own(host: str, scheme: str, origin: str, *, is_own: bool) -> None:
    connection = asked(host, scheme=scheme, origin=origin)
    if is_own:
        require_own_page(connection, DEVELOPMENT)
    else:
        with pytest.raises(OriginNotAllowedError):
            require_own_page(connection, DEVELOPMENT)


def test_only_who_says_so_lets_in_what_no_page_has_sent() -> None:
    require_own_page(asked("hub.example"), DEVELOPMENT, or_no_page=True)
    with pytest.raises(OriginNotAllowedError):
        require_own_page(asked("hub.example"), DEVELOPMENT)
    with pytest.raises(OriginNotAllowedError):
        require_own_page(asked("hub.example", origin="null"), DEVELOPMENT, or_no_page=True)
