"""What every refusal looks like, whatever was refused."""

from __future__ import annotations

from typing import Any, cast

from httpx2 import Response

#: Words that tell of the server's inside, or that nobody has thought of the reader.
INTERNALS = ("Traceback", "asyncpg", "msgspec", "litestar", "psycopg", "regex", 'File "', "SELECT", "'data'")


def refused(answer: Response, *statuses: int) -> dict[str, Any]:
    """Check that an answer is a problem document with one of these statuses, and return it."""
    told = (
        f"{answer.request.method} {str(answer.request.url)[:200]} -> {answer.status_code} {answer.text[:500]}"
    )
    assert answer.status_code in statuses, told
    assert answer.headers["content-type"] == "application/problem+json", told
    problem = cast("dict[str, Any]", answer.json())
    assert set(problem) - {"errors"} == {"type", "title", "status", "detail", "request_id"}, told
    assert problem["type"].startswith("/problems/"), told
    assert problem["title"], told
    assert problem["detail"], told
    assert problem["status"] == answer.status_code, told
    assert problem["request_id"] == answer.headers["x-request-id"], told
    for error in problem.get("errors", []):
        assert set(error) == {"pointer", "detail"}, told
        assert error["pointer"] == "" or error["pointer"].startswith("/"), told
        assert error["detail"], told
    assert not [word for word in INTERNALS if word in answer.text], told
    if answer.status_code == 401:
        assert answer.headers["www-authenticate"] == "Bearer", told
    return problem


def pointers(problem: dict[str, Any]) -> set[str]:
    """Return the places that a refusal points at."""
    return {error["pointer"] for error in problem.get("errors", [])}
