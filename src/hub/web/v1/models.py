"""Routes of models: which companions there are to talk with."""

from __future__ import annotations

from typing import Literal

from litestar import Controller, get
from litestar.params import FromPath
from msgspec import Struct

from hub.domain.completions.schemas import Model
from hub.web.api.dependencies import ProcessDependency
from hub.web.requests import HubRequest
from hub.web.v1.content import companion_of, model_id

OWNED_BY = "companion-hub"


class ModelObject(Struct, frozen=True, kw_only=True):
    """A companion as a model; ``name`` is its own, which OpenAI's models have not."""

    id: str
    object: Literal["model"] = "model"
    created: int
    owned_by: str = OWNED_BY
    name: str


class ModelList(Struct, frozen=True, kw_only=True):
    """All of the caller's companions."""

    object: Literal["list"] = "list"
    data: list[ModelObject]


class ModelController(Controller):
    """Companions as models."""

    path = "/v1/models"
    tags = ("OpenAI-compatible",)
    opt = {"scopes": ("read", "chat")}  # noqa: RUF012 - the framework's own way

    @get(operation_id="listModels", summary="List my companions as models")
    async def all(self, request: HubRequest, process: ProcessDependency) -> ModelList:
        """Return all of the caller's companions, the newest first."""
        models = await process.completions.models(user_id=request.user.user.id)
        return ModelList(data=[_model(each) for each in models])

    @get("/{model:path}", operation_id="getModel", summary="Get a companion as a model")
    async def show(
        self, request: HubRequest, model: FromPath[str], process: ProcessDependency
    ) -> ModelObject:
        """Return one of the caller's companions, by `companion/{companion id}`."""
        companion_id = companion_of(model.lstrip("/"))
        return _model(await process.completions.model(companion_id, user_id=request.user.user.id))


def _model(model: Model) -> ModelObject:
    return ModelObject(
        id=model_id(model.companion_id), created=int(model.created_at.timestamp()), name=model.name
    )
