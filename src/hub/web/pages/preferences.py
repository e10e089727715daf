"""How somebody wants the page: language and theme, kept in cookies of their browser."""

from __future__ import annotations

from typing import Any, Literal, get_args

from litestar.connection import ASGIConnection
from litestar.datastructures import Cookie

from hub.core.settings import Settings
from hub.web.origins import came_by_https
from hub.web.pages.words import DEFAULT, LANGUAGES, Language

Connection = ASGIConnection[Any, Any, Any, Any]
Theme = Literal["auto", "light", "dark"]

THEMES: tuple[Theme, ...] = get_args(Theme)
LANGUAGE_COOKIE = "hub_language"
THEME_COOKIE = "hub_theme"
_YEAR = 365 * 24 * 60 * 60


def language_of(connection: Connection) -> Language:
    """Return the language that somebody chose, else the first of their browser's that there is."""
    chosen = connection.cookies.get(LANGUAGE_COOKIE, "")
    wanted = [chosen, *_by_weight(connection.headers.get("accept-language", "")[:200])]
    return next((language for tag in wanted for language in LANGUAGES if language == tag), DEFAULT)


def theme_of(connection: Connection) -> Theme:
    """Return the theme that somebody chose; auto follows their system."""
    chosen = connection.cookies.get(THEME_COOKIE, "")
    return next((theme for theme in THEMES if theme == chosen), "auto")


def preference_cookie(connection: Connection, settings: Settings, key: str, value: str) -> Cookie:
    """Return the cookie that keeps a choice for a year."""
    return Cookie(
        key=key,
        value=value,
        max_age=_YEAR,
        path="/",
        secure=came_by_https(connection, settings),
        httponly=True,
        samesite="lax",
    )


def _by_weight(header: str) -> list[str]:
    """Return the primary tags of ``Accept-Language``, those wanted most first."""
    weighted: list[tuple[float, str]] = []
    for part in header.split(","):
        tag, _, parameter = part.partition(";")
        try:
            weight = float(parameter.strip().removeprefix("q=")) if parameter else 1.0
        except ValueError:
            continue
        weighted.append((weight, tag.strip().lower().partition("-")[0]))
    return [tag for weight, tag in sorted(weighted, key=lambda each: -each[0]) if weight > 0]
