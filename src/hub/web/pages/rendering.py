"""Pages made from templates, with all that each of them needs."""

from __future__ import annotations

from datetime import UTC, datetime
from functools import cache
from pathlib import Path
from typing import Any
from urllib.parse import quote, unquote

from babel.dates import format_datetime
from jinja2 import Environment, FileSystemLoader, StrictUndefined
from litestar import Response
from litestar.connection import ASGIConnection
from litestar.datastructures import Cookie
from litestar.response import Redirect
from markupsafe import Markup

import hub
from hub.domain.accounts.schemas import Identity
from hub.web.pages.assets import assets
from hub.web.pages.faces import hue, initial
from hub.web.pages.preferences import THEMES, language_of, theme_of
from hub.web.pages.quantities import share, size, span
from hub.web.pages.words import LANGUAGES, Language, Words, words_in

Connection = ASGIConnection[Any, Any, Any, Any]

_TEMPLATES = Path(__file__).parent / "templates"
_NOTICE_COOKIE = "hub_notice"
_NOTICE_LIMIT = 500

HEADERS = {
    "Content-Security-Policy": "default-src 'none'; script-src 'self'; style-src 'self';"
    " img-src 'self' blob: data:; connect-src 'self'; font-src 'self'; manifest-src 'self';"
    " form-action 'self'; base-uri 'none'; frame-ancestors 'none';"
    " require-trusted-types-for 'script'; trusted-types lit-html",
    # With "no-referrer" browsers would not say from which page a form comes, and it would be refused.
    "Referrer-Policy": "same-origin",
    "X-Content-Type-Options": "nosniff",
    "Permissions-Policy": "camera=(), microphone=(), geolocation=()",
    "Cache-Control": "no-store",
}


def words_of(connection: Connection) -> Words:
    """Return the words in the language of whoever asks."""
    return words_in(language_of(connection))


def page(request: Connection, template: str, *, status: int = 200, **values: Any) -> Response[str]:
    """Render a template.

    Templates have, beside ``values``: ``me`` (the user, or None), ``section`` (None unless given), ``_``,
    ``gettext`` and ``ngettext``, ``language``, ``languages``, ``theme``, ``themes``, ``path``, ``notice``,
    ``version``, ``asset(name)``, ``modules(entry)`` and the filters ``when`` for times, ``size`` for bytes,
    ``share`` for parts of one and ``span`` for seconds.
    """
    language = language_of(request)
    identity = request.scope.get("user")
    notice = unquote(request.cookies.get(_NOTICE_COOKIE, ""))[:_NOTICE_LIMIT]
    content = (
        _environment(language)
        .get_template(template)
        .render(
            {
                "me": identity.user if isinstance(identity, Identity) else None,
                "section": None,
                "theme": theme_of(request),
                "path": request.scope["path"],
                "notice": notice,
                **values,
            }
        )
    )
    cookies = [_notice_cookie("", 0)] if notice else []
    return Response(content, status_code=status, media_type="text/html", headers=HEADERS, cookies=cookies)


def redirect(path: str, *, notice: str = "", cookies: list[Cookie] | None = None) -> Redirect:
    """Send a browser on after a form, with a sentence that the next page shows once."""
    cookies = list(cookies or [])
    if notice:
        cookies.append(_notice_cookie(quote(notice[:_NOTICE_LIMIT]), 60))
    return Redirect(path, status_code=303, cookies=cookies, headers={"Cache-Control": "no-store"})


def _notice_cookie(value: str, seconds: int) -> Cookie:
    return Cookie(key=_NOTICE_COOKIE, value=value, max_age=seconds, path="/", httponly=True, samesite="lax")


@cache
def _environment(language: Language) -> Environment:
    words = words_in(language)
    environment = Environment(
        loader=FileSystemLoader(_TEMPLATES),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        extensions=["jinja2.ext.i18n"],
    )
    environment.policies["ext.i18n.trimmed"] = True  # lines may be broken within {% trans %}
    environment.install_gettext_callables(  # type: ignore[attr-defined] # the extension adds it
        words.translations.gettext, words.translations.ngettext, newstyle=True
    )
    environment.globals |= {
        "asset": assets().address,
        "modules": assets().modules,
        "language": language,
        "languages": LANGUAGES,
        "themes": THEMES,
        "version": hub.__version__,
    }
    environment.filters |= {
        "initial": initial,
        "hue": hue,
        "when": lambda moment: _when(moment, language),
        "size": lambda count: size(count, language),
        "share": lambda part: share(part, language),
        "span": lambda seconds: span(seconds, language),
    }
    return environment


def _when(moment: datetime, language: str) -> Markup:
    """Return a time for people, in UTC until a script shows it as their clock does."""
    moment = moment.astimezone(UTC)
    said = format_datetime(moment, "medium", locale=language)
    return Markup('<time datetime="{}">{} UTC</time>').format(
        moment.isoformat(timespec="seconds").replace("+00:00", "Z"), said
    )
