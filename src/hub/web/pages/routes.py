"""All pages, in one list; what goes wrong on them is shown as a page too."""

from __future__ import annotations

from litestar import Router

from hub.web.pages.admin import ADMIN_HANDLERS
from hub.web.pages.companions import COMPANION_HANDLERS
from hub.web.pages.conversations import CONVERSATION_HANDLERS
from hub.web.pages.gallery import GALLERY_HANDLERS
from hub.web.pages.guide_pages import GUIDE_HANDLERS
from hub.web.pages.problems import EXCEPTION_HANDLERS
from hub.web.pages.search import SEARCH_HANDLERS
from hub.web.pages.settings import SETTINGS_HANDLERS
from hub.web.pages.sign_in import SIGN_IN_HANDLERS
from hub.web.pages.tokens import TOKEN_HANDLERS
from hub.web.pages.users import USER_HANDLERS
from hub.web.pages.webhooks import WEBHOOK_HANDLERS

pages_router = Router(
    "/",
    route_handlers=[
        *SIGN_IN_HANDLERS,
        *COMPANION_HANDLERS,
        *CONVERSATION_HANDLERS,
        *GALLERY_HANDLERS,
        *SEARCH_HANDLERS,
        *SETTINGS_HANDLERS,
        *TOKEN_HANDLERS,
        *WEBHOOK_HANDLERS,
        *ADMIN_HANDLERS,
        *USER_HANDLERS,
        *GUIDE_HANDLERS,
    ],
    exception_handlers=EXCEPTION_HANDLERS,
    include_in_schema=False,
)
