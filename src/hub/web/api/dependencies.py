"""What route handlers ask for."""

from __future__ import annotations

from typing import Annotated

from litestar.di import NamedDependency
from litestar.params import Parameter

from hub.process import Process
from hub.web.clients import Clients

ProcessDependency = NamedDependency[Process]
ClientsDependency = NamedDependency[Clients]

#: ``?limit=`` of lists.
Limit = Annotated[int, Parameter(ge=1, le=1000, description="How many entries the page has at most.")]
Cursor = Annotated[
    str | None,
    Parameter(max_length=200, description="`next_cursor` of the page before; leave out for the first."),
]
