"""All pages, in one list; what goes wrong on them is shown as a page too."""

from __future__ import annotations

from litestar import Router

from hub.web.pages.conversations import CONVERSATION_HANDLERS
from hub.web.pages.problems import EXCEPTION_HANDLERS
from hub.web.pages.settings import save_preferences
from hub.web.pages.sign_in import SIGN_IN_HANDLERS

pages_router = Router(
    "/",
    route_handlers=[*SIGN_IN_HANDLERS, *CONVERSATION_HANDLERS, save_preferences],
    exception_handlers=EXCEPTION_HANDLERS,
    include_in_schema=False,
)
