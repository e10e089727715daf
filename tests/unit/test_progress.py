"""How far a command is, told to people."""

from __future__ import annotations

import io

import pytest

from hub.core.progress import Progress


@pytest.mark.parametrize("live", [True, False])
def test_progress_tells_count_rate_and_what_is_left(monkeypatch: pytest.MonkeyPatch, *, live: bool) -> None:
    now = [100.0]
    monkeypatch.setattr("hub.core.progress.time.monotonic", lambda: now[0])
    stream = io.StringIO()
    monkeypatch.setattr(stream, "isatty", lambda: live)
    with Progress(stream).of("pictures", 1000) as progress:
        for _ in range(60):
            now[0] += 0.1
            progress.add(2)
    told = stream.getvalue()
    assert "/1,000, 20.0/s, 45 s left" in told
    assert told.endswith("pictures 120/1,000, 20.0/s, 44 s left\n")
    assert ("\r\x1b[K" in told) is live
    assert told.count("\n") == (1 if live else 2)


@pytest.mark.parametrize("live", [True, False])
def test_progress_that_is_cleared_leaves_nothing_on_a_terminal(
    monkeypatch: pytest.MonkeyPatch, *, live: bool
) -> None:
    now = [100.0]
    monkeypatch.setattr("hub.core.progress.time.monotonic", lambda: now[0])
    stream = io.StringIO()
    monkeypatch.setattr(stream, "isatty", lambda: live)
    progress = Progress(stream)
    progress.begin("files", 30)
    for done in range(1, 11):
        now[0] += 1
        progress.reach(done, ", 2 wrong")
    progress.clear()
    told = stream.getvalue()
    assert "files 10/30, 1.0/s, 20 s left, 2 wrong" in told
    assert told.endswith("\r\x1b[K" if live else "wrong\n")
