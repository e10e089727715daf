"""Which format and which part of a picture a client gets, for headers of every kind."""

from __future__ import annotations

from hypothesis import example, given
from hypothesis import strategies as st

from hub.storage.images import MediaType
from hub.web.pictures import _part, choose

TYPES: tuple[MediaType, ...] = ("image/avif", "image/webp", "image/jpeg")
ETAG = '"tag"'

stored_types = st.sampled_from(TYPES)
kinds = st.sampled_from([*TYPES, "image/png", "image/*", "*/*", "text/html"])
qualities = st.sampled_from([None, "0", "0.0", "0.001", "0.5", "1", "1.000"])
accepts = st.dictionaries(kinds, qualities, max_size=6)


def written(accept: dict[str, str | None]) -> str:
    """Return an Accept header."""
    return ", ".join(kind if q is None else f"{kind};q={q}" for kind, q in accept.items())


def admits(accept: dict[str, str | None], kind: str) -> bool:
    """Tell whether a type is taken: what names it most closely decides."""
    for each in (kind, "image/*", "*/*"):
        if each in accept:
            return float(accept[each] or 1) > 0
    return False


@given(accepts, stored_types)
def test_the_stored_type_if_it_is_taken_else_one_that_is(
    accept: dict[str, str | None], stored: MediaType
) -> None:
    chosen = choose(written(accept), stored)
    if admits(accept, stored) or not any(kind.startswith("image/") for kind in accept):
        assert chosen == stored
    else:
        taken = [each for each in ("image/webp", "image/jpeg") if admits(accept, each)]
        assert chosen == (taken[0] if taken else "image/jpeg")


@given(st.text(), stored_types)
@example(",;,q=,;;", "image/avif")
@example("image/avif;q=\u0661", "image/avif")
@example("image/avif;q=1e309;q=nan", "image/avif")
def test_nonsense_gets_some_picture(accept: str, stored: MediaType) -> None:
    assert choose(accept, stored) in (stored, "image/webp", "image/jpeg")


@given(accepts, stored_types, st.sampled_from([" ", "\t", ""]))
def test_space_and_case_do_not_matter(accept: dict[str, str | None], stored: MediaType, space: str) -> None:
    parts = (
        f"{space}{kind.upper()}{space}" + ("" if q is None else f";{space}Q{space}={space}{q}{space}")
        for kind, q in accept.items()
    )
    assert choose(",".join(parts), stored) == choose(written(accept), stored)


@given(st.integers(0, 10**6), st.integers(0, 10**7), st.integers(1, 10**6))
def test_a_part_from_here_to_there(first: int, last: int, size: int) -> None:
    part = _part({"range": f"bytes={first}-{last}"}, size, ETAG)
    if last < first:
        assert part is None
        return
    assert part is not None
    assert list(part[:1]) == ([first] if first < size else [])
    if first < size:
        assert part == range(first, min(last, size - 1) + 1)
    assert _part({"range": f"bytes={first}-"}, size, ETAG) in (range(first, size), range(0))


@given(st.integers(0, 10**7), st.integers(1, 10**6))
def test_a_part_from_the_end(count: int, size: int) -> None:
    part = _part({"range": f"bytes=-{count}"}, size, ETAG)
    assert part is not None
    assert len(part) == min(count, size)
    assert not part or part[-1] == size - 1


@given(st.text(), st.integers(1, 10**6))
@example("bytes=\u0661-\u0662", 10)
@example("bytes=-", 10)
@example("bytes=" + "9" * 5_000 + "-", 10)
def test_nonsense_is_never_more_than_the_picture(asked: str, size: int) -> None:
    for text in (asked, f"bytes={asked}"):
        part = _part({"range": text}, size, ETAG)
        assert part is None or not part or (part[0] >= 0 and part[-1] < size)


@given(st.text())
def test_a_part_only_of_what_the_client_has(condition: str) -> None:
    headers = {"range": "bytes=0-0", "if-range": condition}
    assert (_part(headers, 5, ETAG) is None) == (condition != ETAG)
