"""Where the tables are."""

from __future__ import annotations

from functools import cache
from importlib import import_module

from piccolo.table import Table

#: Modules that have tables; others are not looked into.
MODULES = [
    "hub.domain.accounts.tables",
    "hub.domain.companions.tables",
    "hub.domain.completions.tables",
    "hub.domain.chat.tables",
    "hub.domain.images.tables",
    "hub.domain.limits.tables",
    "hub.domain.monitoring.tables",
    "hub.domain.painting.tables",
    "hub.domain.scenes.tables",
    "hub.domain.webhooks.tables",
    "hub.jobs.tables",
    "hub.legacy.tables",
]


@cache
def names() -> frozenset[str]:
    """Return the names of all tables of the hub, without Piccolo's own ``migration``."""
    found = [value for module in MODULES for value in vars(import_module(module)).values()]
    tables = [
        each for each in found if isinstance(each, type) and issubclass(each, Table) and each is not Table
    ]
    return frozenset(table._meta.tablename for table in tables)  # noqa: SLF001 - as Piccolo documents it
