"""Routes that tell whether the hub is well."""

from __future__ import annotations

from typing import Literal

from litestar import Controller, Response, get
from litestar.openapi import ResponseSpec
from msgspec import Struct

from hub.web.api.dependencies import ProcessDependency
from hub.web.health import Health, check, examine, summary


class Alive(Struct, frozen=True, kw_only=True):
    """The process answers."""

    status: Literal["pass"] = "pass"


_UNWELL = {503: ResponseSpec(Health, description="A part that is needed fails.", generate_examples=False)}


class HealthController(Controller):
    """For load balancers, monitors and people who wonder."""

    path = "/api/health"
    tags = ("Operators",)
    opt = {"exclude_from_auth": True, "refuses_nothing": True}  # noqa: RUF012 - the framework declares it so

    @get(operation_id="getHealth", summary="How is the hub?", responses=_UNWELL)
    async def health(self, process: ProcessDependency) -> Response[Health]:
        """Check every part; 503 when one that is needed fails."""
        return _answer(await examine(process))

    @get("/live", operation_id="getLive", summary="Does the process answer?")
    async def live(self) -> Alive:
        """Answer without looking at anything."""
        return Alive()

    @get("/ready", operation_id="getReady", summary="Can the hub take requests?", responses=_UNWELL)
    async def ready(self, process: ProcessDependency) -> Response[Health]:
        """Check what requests need; 503 when something of it is missing, or while shutting down."""
        checks = await check(process)
        if process.is_stopping:
            checks["process"] = "fail"
        return _answer(summary(checks))


def _answer(health: Health) -> Response[Health]:
    return Response(health, status_code=503 if health.status == "fail" else 200)
