"""The pages of one's own account and of how the page looks."""

from __future__ import annotations

from typing import Any

from litestar import Response, get, post
from litestar.response import Redirect
from litestar.types import ControllerRouterHandler

from hub.core.errors import HubError
from hub.domain.accounts.schemas import ChangePassword, DeleteMe, UpdateMe
from hub.live.events import UserSignedOut
from hub.web.api.dependencies import ProcessDependency
from hub.web.cookies import forgotten
from hub.web.origins import require_own_page
from hub.web.pages.forms import FormError, fill, read_form, show_again
from hub.web.pages.preferences import LANGUAGE_COOKIE, THEME_COOKIE, THEMES, preference_cookie
from hub.web.pages.rendering import page, redirect, words_of
from hub.web.pages.sign_in import PUBLIC, own_path
from hub.web.pages.words import LANGUAGES
from hub.web.requests import HubRequest

SETTINGS = "/settings"

#: What every page of this section needs; ``path`` is where a form that was refused is looked at again.
_HERE: dict[str, Any] = {"section": "settings", "tab": "account", "path": SETTINGS}


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


@get(SETTINGS)
async def show_settings(request: HubRequest) -> Response[str]:
    """Show the forms about the account."""
    return page(request, "settings.html", values=_profile(request), problems={}, form="", **_HERE)


@post("/settings/profile")
async def save_profile(request: HubRequest, process: ProcessDependency) -> Response[str] | Redirect:
    """Change the display name and the email address."""
    fields, words = await read_form(request), words_of(request)
    hints = {
        "display_name": words.gettext("Use 1 to 100 characters."),
        "email": words.gettext("This is not an email address."),
    }
    try:
        await process.accounts.update(request.user, fill(UpdateMe, fields, words=words, hints=hints))
    except (FormError, HubError) as error:
        values = {**_profile(request), **fields}
        return show_again(request, "settings.html", values, error, form="profile", **_HERE)
    return redirect(SETTINGS, notice=words.gettext("Saved."))


@post("/settings/password")
async def change_password(request: HubRequest, process: ProcessDependency) -> Response[str] | Redirect:
    """Set a new password; every other sign-in ends."""
    fields, words = await read_form(request), words_of(request)
    hints = {"new_password": words.gettext("Use 8 to 128 characters.")}
    try:
        command = fill(ChangePassword, fields, words=words, hints=hints)
        ended = await process.accounts.change_password(request.user, command)
    except (FormError, HubError) as error:
        return show_again(request, "settings.html", _profile(request), error, form="password", **_HERE)
    for token_id in ended:
        process.bus.publish(UserSignedOut(token_id))
    notice = words.gettext("The new password is set, and every other device is signed out.")
    return redirect(SETTINGS, notice=notice)


@get("/settings/delete")
async def delete_account_form(request: HubRequest) -> Response[str]:
    """Say what would be gone, and ask for the password."""
    return page(request, "delete_account.html", problems={}, section="settings", tab="account")


@post("/settings/delete")
async def delete_account(request: HubRequest, process: ProcessDependency) -> Response[str] | Redirect:
    """Delete the account with all that belongs to it."""
    fields, words = await read_form(request), words_of(request)
    try:
        command = fill(DeleteMe, fields, words=words)
        await process.accounts.check_password(request.user, command.current_password)
        ended = await process.clearing.delete_account(request.user.user.id)
    except (FormError, HubError) as error:
        return show_again(request, "delete_account.html", fields, error, section="settings", tab="account")
    for token_id in ended:
        process.bus.publish(UserSignedOut(token_id))
    notice = words.gettext("Your account is deleted, with all that belonged to it.")
    answer = redirect("/login", notice=notice, cookies=forgotten(request, process.settings))
    answer.headers["Clear-Site-Data"] = '"storage"'  # drafts, and messages that were never sent
    return answer


def _profile(request: HubRequest) -> dict[str, str]:
    user = request.user.user
    return {"display_name": user.display_name, "email": user.email}


SETTINGS_HANDLERS: list[ControllerRouterHandler] = [
    save_preferences,
    show_settings,
    save_profile,
    change_password,
    delete_account_form,
    delete_account,
]
