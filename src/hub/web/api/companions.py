"""Routes of companions."""

from __future__ import annotations

from uuid import UUID

from litestar import Controller, Response, delete, get, patch, post
from litestar.params import FromPath, JSONBody
from msgspec import UNSET

from hub.core.pages import Page
from hub.domain.chat.clearing import Wiped
from hub.domain.companions import service as companions
from hub.domain.companions.schemas import Companion, CreateCompanion, UpdateCompanion
from hub.domain.samples.schemas import AddSamples
from hub.web.api.dependencies import Cursor, Limit, ProcessDependency
from hub.web.etags import IfMatch, expected
from hub.web.requests import HubRequest

_IN_ENGLISH = AddSamples()


class CompanionController(Controller):
    """Making, changing and removing companions."""

    path = "/api/companions"
    tags = ("Companions",)

    @post(operation_id="createCompanion", summary="Create a companion", opt={"scopes": ("write",)})
    async def create(
        self, request: HubRequest, data: JSONBody[CreateCompanion], process: ProcessDependency
    ) -> Response[Companion]:
        """Make a companion; it is an adult, in its default scene."""
        companion = await companions.create(data, user_id=request.user.user.id, limits=process.limits)
        return Response(companion, status_code=201, headers={"Location": f"/api/companions/{companion.id}"})

    @get(operation_id="listCompanions", summary="List my companions", opt={"scopes": ("read",)})
    async def page(self, request: HubRequest, limit: Limit = 50, cursor: Cursor = None) -> Page[Companion]:
        """Return one page of the caller's companions, the newest first."""
        return await companions.page(user_id=request.user.user.id, limit=limit, cursor=cursor)

    @post(
        "/samples",
        operation_id="addSamples",
        summary="Add the sample companions",
        opt={"scopes": ("write",), "body_is_optional": True},
    )
    async def add_samples(
        self, request: HubRequest, process: ProcessDependency, data: JSONBody[AddSamples] = _IN_ENGLISH
    ) -> Page[Companion]:
        """Add the samples that the caller lacks, each with a talk; return all that they have then."""
        items = await process.samples.add(request.user.user.id, language=data.language)
        return Page(items=items, next_cursor=None)

    @delete(
        "/samples",
        operation_id="deleteSamples",
        summary="Delete the sample companions",
        opt={"scopes": ("write",)},
    )
    async def remove_samples(self, request: HubRequest, process: ProcessDependency) -> None:
        """Remove the caller's samples with all talks and pictures; one that was changed is none and stays."""
        await process.samples.remove(request.user.user.id)

    @get(
        "/{companion_id:uuid}",
        operation_id="getCompanion",
        summary="Get a companion",
        opt={"scopes": ("read",)},
    )
    async def show(self, request: HubRequest, companion_id: FromPath[UUID]) -> Companion:
        """Return one of the caller's companions."""
        return await companions.get(companion_id, user_id=request.user.user.id)

    @patch(
        "/{companion_id:uuid}",
        operation_id="updateCompanion",
        summary="Change a companion",
        opt={"scopes": ("write",)},
    )
    async def update(
        self,
        request: HubRequest,
        companion_id: FromPath[UUID],
        data: JSONBody[UpdateCompanion],
        process: ProcessDependency,
        if_match: IfMatch = None,
    ) -> Companion:
        """Change a companion; what is left out stays. A scene set here holds until the talk changes it."""
        companion = await companions.update(
            companion_id,
            data,
            user_id=request.user.user.id,
            limits=process.limits,
            expected=expected(if_match),
        )
        if data.scene is not UNSET:
            await process.chat.tell_scene(companion_id)
        return companion

    @delete(
        "/{companion_id:uuid}",
        operation_id="deleteCompanion",
        summary="Delete a companion",
        opt={"scopes": ("write",)},
    )
    async def remove(
        self,
        request: HubRequest,
        companion_id: FromPath[UUID],
        process: ProcessDependency,
        if_match: IfMatch = None,
    ) -> None:
        """Remove a companion with its conversations and pictures; what is under way is cancelled."""
        await process.clearing.delete_companion(
            companion_id, user_id=request.user.user.id, expected=expected(if_match)
        )

    @post(
        "/{companion_id:uuid}/wipe",
        operation_id="wipeCompanion",
        summary="Wipe a companion",
        status_code=200,
        opt={"scopes": ("write",)},
    )
    async def wipe(
        self, request: HubRequest, companion_id: FromPath[UUID], process: ProcessDependency
    ) -> Wiped:
        """Forget all talks for good: messages, painted pictures, the scene, and what is under way."""
        return await process.clearing.wipe(companion_id, user_id=request.user.user.id)
