"""The pages of pictures: a companion's gallery, and each picture with its recipe."""

from __future__ import annotations

from typing import Annotated
from uuid import UUID

from litestar import Response, get, post
from litestar.params import FromPath, Parameter
from litestar.response import Redirect
from litestar.types import ControllerRouterHandler

from hub.core.errors import HubError
from hub.domain.chat.message_queries import spot_of_picture
from hub.domain.companions import service as companions
from hub.domain.companions.schemas import Companion
from hub.domain.images.schemas import Image, Recipe
from hub.domain.painting.schemas import CreateImage, RepeatImage
from hub.process import Process
from hub.storage.layout import Kind
from hub.web.api.dependencies import Cursor, ProcessDependency
from hub.web.pages.forms import FormError, fill, read_form, show_again
from hub.web.pages.rendering import page, redirect, words_of
from hub.web.requests import HubRequest

#: Pictures of a page.
PICTURES = 24

KindParameter = Annotated[Kind | None, Parameter(description="Only pictures of this kind.")]


@get("/companions/{companion_id:uuid}/gallery")
async def gallery(
    request: HubRequest,
    process: ProcessDependency,
    companion_id: FromPath[UUID],
    cursor: Cursor = None,
    kind: KindParameter = None,
) -> Response[str]:
    """Show the pictures of a companion, the newest first, and those that are being painted."""
    user_id = request.user.user.id
    companion = await companions.get(companion_id, user_id=user_id)
    shown = await _shown(process, companion, user_id=user_id, cursor=cursor, kind=kind)
    return page(request, "gallery.html", status=200, values={}, problems={}, **shown)


@post("/companions/{companion_id:uuid}/gallery")
async def paint(
    request: HubRequest, process: ProcessDependency, companion_id: FromPath[UUID]
) -> Response[str] | Redirect:
    """Have a picture painted; the gallery shows how far it is."""
    user_id = request.user.user.id
    companion = await companions.get(companion_id, user_id=user_id)
    words, fields = words_of(request), await read_form(request)
    hints = {"prompt": words.gettext("Use at most 2,000 characters.")}
    try:
        command = fill(CreateImage, {"prompt": fields.get("prompt", "")}, words=words, hints=hints)
        await process.painting.ask(companion_id, command, user_id=user_id)
    except (FormError, HubError) as error:
        more = await _shown(process, companion, user_id=user_id)
        return show_again(request, "gallery.html", fields, error, **more)
    return redirect(_gallery_of(companion_id))


@post("/companions/{companion_id:uuid}/gallery/{job_id:uuid}/cancel")
async def stop_painting(
    request: HubRequest, process: ProcessDependency, companion_id: FromPath[UUID], job_id: FromPath[UUID]
) -> Redirect:
    """Stop a picture that is being painted or waits for it."""
    user_id = request.user.user.id
    await companions.get(companion_id, user_id=user_id)
    await process.painting.cancel(job_id, user_id=user_id)
    return redirect(_gallery_of(companion_id))


@get("/images/{image_id:uuid}")
async def view(request: HubRequest, process: ProcessDependency, image_id: FromPath[UUID]) -> Response[str]:
    """Show one picture with how it was made, and the way to those beside it."""
    user_id = request.user.user.id
    hung = await process.images.view(image_id, user_id=user_id)
    recipe = hung.image.recipe
    return page(
        request,
        "image.html",
        section="companions",
        hung=hung,
        image=hung.image,
        companion=await companions.get(hung.companion_id, user_id=user_id),
        spot=await spot_of_picture(image_id),
        recipe_text=as_text(recipe) if recipe else "",
        file_name=_file_name(hung.image),
    )


@post("/images/{image_id:uuid}/again")
async def paint_again(request: HubRequest, process: ProcessDependency, image_id: FromPath[UUID]) -> Redirect:
    """Have a picture painted by the same recipe: with its own seed, or another one."""
    user_id = request.user.user.id
    hung = await process.images.view(image_id, user_id=user_id)
    fields = await read_form(request)
    command = RepeatImage(seed=-1) if fields.get("seed") == "new" else RepeatImage()
    await process.painting.repeat(image_id, command, user_id=user_id)
    return redirect(_gallery_of(hung.companion_id))


@get("/images/{image_id:uuid}/delete")
async def ask_to_delete(
    request: HubRequest, process: ProcessDependency, image_id: FromPath[UUID]
) -> Response[str]:
    """Ask whether a picture is really to go."""
    user_id = request.user.user.id
    hung = await process.images.view(image_id, user_id=user_id)
    companion = await companions.get(hung.companion_id, user_id=user_id)
    return page(
        request, "image_delete.html", section="companions", image=hung.image, companion=companion, problems={}
    )


@post("/images/{image_id:uuid}/delete")
async def delete(request: HubRequest, process: ProcessDependency, image_id: FromPath[UUID]) -> Redirect:
    """Delete a picture."""
    user_id = request.user.user.id
    hung = await process.images.view(image_id, user_id=user_id)
    await process.images.remove(image_id, user_id=user_id)
    notice = words_of(request).gettext("The picture is deleted.")
    return redirect(_gallery_of(hung.companion_id), notice=notice)


async def _shown(
    process: Process,
    companion: Companion,
    *,
    user_id: UUID,
    cursor: str | None = None,
    kind: Kind | None = None,
) -> dict[str, object]:
    """Return what a page of the gallery shows."""
    is_first = cursor is None
    # Before the pictures: what is done in between is then shown twice, which a script sees, rather than not.
    is_watched = is_first and kind != "header"
    jobs = await process.painting.under_way(companion.id, user_id=user_id) if is_watched else []
    found = await process.images.page(companion.id, user_id=user_id, kind=kind, limit=PICTURES, cursor=cursor)
    return {
        "section": "companions",
        "companion": companion,
        "kind": kind,
        "is_first": is_first,
        "jobs": jobs,
        "pictures": found.items,
        "next_cursor": found.next_cursor,
    }


def as_text(recipe: Recipe) -> str:
    """Write a recipe as the programs that paint show and read them."""
    lines = [recipe.prompt]
    if recipe.negative_prompt:
        lines.append(f"Negative prompt: {recipe.negative_prompt}")
    facts = {
        "Steps": recipe.steps or "",
        "Sampler": recipe.sampler,
        "Seed": recipe.seed,
        "Size": f"{recipe.width}x{recipe.height}",
        "Model": recipe.model,
    }
    lines.append(", ".join(f"{name}: {value}" for name, value in facts.items() if value != ""))
    return "\n".join(lines)


def _file_name(image: Image) -> str:
    ending = image.media_type.rpartition("/")[2].replace("jpeg", "jpg")
    return f"companion-{image.created_at:%Y%m%d-%H%M%S}.{ending}"


def _gallery_of(companion_id: UUID) -> str:
    return f"/companions/{companion_id}/gallery"


GALLERY_HANDLERS: list[ControllerRouterHandler] = [
    gallery,
    paint,
    stop_painting,
    view,
    paint_again,
    ask_to_delete,
    delete,
]
