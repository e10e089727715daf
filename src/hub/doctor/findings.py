"""What the doctor found: one finding for each thing it looked at."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal

from msgspec import Struct

Status = Literal["pass", "warn", "fail"]


class Finding(Struct, frozen=True, kw_only=True, omit_defaults=True):
    """One thing that was looked at.

    ``setting`` is the one to look at, ``advice`` one line on what to do, ``fixed`` what was just repaired.
    None of them ever holds a secret.
    """

    check: str
    status: Status
    detail: str
    setting: str | None = None
    advice: str | None = None
    fixed: str | None = None


def good(check: str, detail: str, *, fixed: str | None = None) -> Finding:
    """Say that a thing is as it should be."""
    return Finding(check=check, status="pass", detail=detail, fixed=fixed)


def warning(check: str, detail: str, *, advice: str, setting: str | None = None) -> Finding:
    """Say what works, but deserves a look."""
    return Finding(check=check, status="warn", detail=detail, advice=advice, setting=setting)


def bad(check: str, detail: str, *, advice: str, setting: str) -> Finding:
    """Say what keeps the hub from working as it should; there is always a setting to look at."""
    return Finding(check=check, status="fail", detail=detail, advice=advice, setting=setting)


def worst(findings: Sequence[Finding]) -> Status:
    """Return how the whole is: as its worst part."""
    found = {each.status for each in findings}
    return "fail" if "fail" in found else "warn" if "warn" in found else "pass"
