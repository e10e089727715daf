"""Routes of pictures."""

from __future__ import annotations

from typing import Annotated, Any
from uuid import UUID

from litestar import Controller, Response, delete, get, post, put
from litestar.params import FromPath, JSONBody, Parameter

from hub.core.pages import Page
from hub.domain.companions import service as companions
from hub.domain.images.delivery import Picture
from hub.domain.images.schemas import Image, ImageLink, Size
from hub.domain.limits.service import Action
from hub.domain.painting.schemas import CreateImage, Job, RepeatImage
from hub.process import Process
from hub.storage.layout import Kind
from hub.web.api.dependencies import Cursor, Limit, ProcessDependency
from hub.web.pictures import FOREVER, answer, choose
from hub.web.requests import HubRequest
from hub.web.uploads import check_upload, receive_upload

SizeParameter = Annotated[Size, Parameter(description="`thumb` fits into 256 x 256 pixels.")]
KindParameter = Annotated[Kind | None, Parameter(description="Only pictures of this kind.")]
Expires = Annotated[int, Parameter(ge=0, le=2**53, description="Seconds since 1970, of the link.")]
Signature = Annotated[str, Parameter(max_length=100, description="Of the link.")]

# What no body at all means: everything as usual.
_AS_IT_IS = CreateImage()
_THE_SAME = RepeatImage()


class CompanionImageController(Controller):
    """The pictures of a companion."""

    path = "/api/companions/{companion_id:uuid}"
    tags = ("Images",)

    @put(
        "/header-image",
        operation_id="setHeaderImage",
        summary="Set the header picture",
        request_max_body_size=None,
        opt={"scopes": ("write",), "takes_picture": True},
    )
    async def set_header(
        self, request: HubRequest, companion_id: FromPath[UUID], process: ProcessDependency
    ) -> Image:
        """Store the picture that is sent, fitted into 800 x 800 pixels, in place of the one before."""
        user_id = request.user.user.id
        await companions.get(companion_id, user_id=user_id)
        size = check_upload(request)
        await process.limits.take(Action.EDIT, user_id)  # before the work; what fails in it counts too
        images = process.images
        await images.files.require_room(size)
        images.processes.warm()
        async with images.files.temporary() as temp:
            received = await receive_upload(request, temp)
            return await images.set_header(companion_id, temp.path, original_bytes=received, user_id=user_id)

    @delete(
        "/header-image",
        operation_id="deleteHeaderImage",
        summary="Delete the header picture",
        opt={"scopes": ("write",)},
    )
    async def remove_header(
        self, request: HubRequest, companion_id: FromPath[UUID], process: ProcessDependency
    ) -> None:
        """Delete the header picture of a companion."""
        user_id = request.user.user.id
        await companions.get(companion_id, user_id=user_id)
        await process.limits.take(Action.EDIT, user_id)
        await process.images.remove_header(companion_id, user_id=user_id)

    @post(
        "/images",
        operation_id="createImage",
        summary="Have a picture painted",
        status_code=202,
        opt={"scopes": ("chat",), "body_is_optional": True},
    )
    async def create(
        self,
        request: HubRequest,
        companion_id: FromPath[UUID],
        process: ProcessDependency,
        data: JSONBody[CreateImage] = _AS_IT_IS,
    ) -> Response[Job]:
        """Queue a picture of a companion; what is left out follows from the companion and its scene."""
        job = await process.painting.ask(companion_id, data, user_id=request.user.user.id)
        return Response(job, status_code=202, headers={"Location": f"/api/jobs/{job.id}"})

    @get(
        "/images", operation_id="listImages", summary="List a companion's pictures", opt={"scopes": ("read",)}
    )
    async def page(
        self,
        request: HubRequest,
        companion_id: FromPath[UUID],
        process: ProcessDependency,
        *,
        kind: KindParameter = None,
        limit: Limit = 24,
        cursor: Cursor = None,
    ) -> Page[Image]:
        """Return one page of a companion's pictures, the newest first."""
        user_id = request.user.user.id
        await companions.get(companion_id, user_id=user_id)
        return await process.images.page(companion_id, user_id=user_id, kind=kind, limit=limit, cursor=cursor)


class ImageController(Controller):
    """Pictures themselves."""

    path = "/api/images/{image_id:uuid}"
    tags = ("Images",)

    @get(
        operation_id="getImage",
        summary="Get a picture",
        opt={"scopes": ("read", "chat"), "gives_picture": True},
    )
    async def show(
        self,
        request: HubRequest,
        image_id: FromPath[UUID],
        process: ProcessDependency,
        size: SizeParameter = "full",
    ) -> Response[Any]:
        """Return the bytes, in the stored format or one that the Accept header names."""
        return await _send(request, process, image_id, size, user_id=request.user.user.id, cache=FOREVER)

    @get(
        "/signed",
        operation_id="getSignedImage",
        summary="Get a picture by a signed link",
        opt={"gives_picture": True, "exclude_from_auth": True},
    )
    async def show_signed(
        self,
        request: HubRequest,
        image_id: FromPath[UUID],
        process: ProcessDependency,
        *,
        expires: Expires = 0,
        signature: Signature = "",
        size: SizeParameter = "full",
    ) -> Response[Any]:
        """Return the bytes to whoever has the link, while it works."""
        left = process.links.check(image_id, expires=expires, signature=signature)
        return await _send(request, process, image_id, size, user_id=None, cache=f"private, max-age={left}")

    @post(
        "/links",
        operation_id="createImageLink",
        summary="Get a link for those who cannot send a header",
        opt={"scopes": ("read", "chat")},
    )
    async def create_link(
        self, request: HubRequest, image_id: FromPath[UUID], process: ProcessDependency
    ) -> ImageLink:
        """Return an address that shows the picture to whoever has it, for five minutes."""
        await process.delivery.find(image_id, user_id=request.user.user.id)
        return process.links.make(image_id)

    @post(
        "/again",
        operation_id="repeatImage",
        summary="Have a picture painted again",
        status_code=202,
        opt={"scopes": ("chat",), "body_is_optional": True},
    )
    async def repeat(
        self,
        request: HubRequest,
        image_id: FromPath[UUID],
        process: ProcessDependency,
        data: JSONBody[RepeatImage] = _THE_SAME,
    ) -> Response[Job]:
        """Queue a picture that is made from the recipe of another one."""
        job = await process.painting.repeat(image_id, data, user_id=request.user.user.id)
        return Response(job, status_code=202, headers={"Location": f"/api/jobs/{job.id}"})

    @delete(operation_id="deleteImage", summary="Delete a picture", opt={"scopes": ("write",)})
    async def remove(self, request: HubRequest, image_id: FromPath[UUID], process: ProcessDependency) -> None:
        """Delete one of the caller's pictures."""
        await process.images.remove(image_id, user_id=request.user.user.id)


async def _send(
    request: HubRequest, process: Process, image_id: UUID, size: Size, *, user_id: UUID | None, cache: str
) -> Response[Any]:
    stored = await process.delivery.find(image_id, user_id=user_id)
    media_type = choose(request.headers.get("accept", ""), stored.media_type)
    picture = Picture(stored, size, media_type)
    return await answer(process.delivery, picture, request.headers, cache=cache)
