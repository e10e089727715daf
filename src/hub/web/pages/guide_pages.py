"""The pages that the types of problems lead to: one for each, and one for all; everybody may read them."""

from __future__ import annotations

from litestar import Response, get
from litestar.exceptions import NotFoundException
from litestar.params import FromPath
from litestar.types import ControllerRouterHandler
from markupsafe import Markup

from hub.web.pages import guide
from hub.web.pages.rendering import page, words_of
from hub.web.pages.words import N_, Words
from hub.web.problems import PAGES
from hub.web.requests import HubRequest

_OPT = {"exclude_from_auth": True}
_PLACES = {
    "socket": N_("in a WebSocket's frame"),
    "reply": N_("with a reply that failed"),
    "picture": N_("with a picture that failed"),
    "job": N_("in the list of failed jobs"),
    "v1": N_("to clients of OpenAI's API"),
    "any other": N_("any other status"),
}


@get(PAGES, opt=_OPT)
async def all_kinds(request: HubRequest) -> Response[str]:
    """Show what to do by what one sees, and every type of problems."""
    return page(request, "guide.html", symptoms=guide.symptoms(), parts=guide.parts(), html=_html)


@get(f"{PAGES}/{{name:str}}", opt=_OPT)
async def one_kind(request: HubRequest, name: FromPath[str]) -> Response[str]:
    """Show one type of problems."""
    if (kind := guide.kinds().get(name)) is None:
        raise NotFoundException
    words = words_of(request)
    places = [_place(each, words) for each in kind.places]
    return page(request, "problem.html", kind=kind, places=places, html=_html)


def _place(place: str, words: Words) -> str:
    return words.gettext(_PLACES[place]) if place in _PLACES else f"HTTP {place}"


def _html(text: str) -> Markup:
    return Markup(guide.html(text))  # noqa: S704 - the hub's own texts, with HTML in them off


GUIDE_HANDLERS: list[ControllerRouterHandler] = [all_kinds, one_kind]
