"""The pages of one's own account and of how the page looks."""

from __future__ import annotations

from litestar import post
from litestar.response import Redirect

from hub.web.api.dependencies import ProcessDependency
from hub.web.origins import require_own_page
from hub.web.pages.forms import read_form
from hub.web.pages.preferences import LANGUAGE_COOKIE, THEME_COOKIE, THEMES, preference_cookie
from hub.web.pages.rendering import redirect
from hub.web.pages.sign_in import PUBLIC, own_path
from hub.web.pages.words import LANGUAGES
from hub.web.requests import HubRequest


@post("/preferences", opt=PUBLIC)
async def save_preferences(request: HubRequest, process: ProcessDependency) -> Redirect:
    """Keep the language and the theme that somebody chose, in their browser."""
    require_own_page(request, process.settings, or_no_page=True)
    fields = await read_form(request)
    chosen = [
        (LANGUAGE_COOKIE, fields.get("language", ""), tuple(LANGUAGES)),
        (THEME_COOKIE, fields.get("theme", ""), THEMES),
    ]
    cookies = [
        preference_cookie(request, process.settings, key, value)
        for key, value, known in chosen
        if value in known
    ]
    return redirect(own_path(fields.get("next", "")), cookies=cookies)
