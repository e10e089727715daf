"""Starting programs of our own, and ending them."""

from __future__ import annotations

import asyncio
import contextlib
import os
import sys
from collections.abc import Mapping

# A child gets no more of the environment than it needs: no keys, no database address.
_ENVIRONMENT = ("PATH", "HOME", "LANG", "LC_ALL", "TMPDIR", "PYTHONPATH", "LD_LIBRARY_PATH", "SYSTEMROOT")


async def spawn(*arguments: str, environment: Mapping[str, str]) -> asyncio.subprocess.Process:
    """Start this Python with ``arguments``, its three streams as pipes.

    It has a session of its own, so that Ctrl-C on the terminal reaches only the hub.

    Raises:
        OSError: it cannot be started.
    """
    return await asyncio.create_subprocess_exec(
        sys.executable,
        "-P",  # its folder is no place to import from
        *arguments,
        stdin=asyncio.subprocess.PIPE,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
        env={name: os.environ[name] for name in _ENVIRONMENT if name in os.environ} | dict(environment),
        start_new_session=True,
    )


async def end(process: asyncio.subprocess.Process, *, patience: float) -> None:
    """Ask a child to leave by closing its input, and kill it after ``patience`` seconds."""
    if process.stdin is not None:
        process.stdin.close()
    with contextlib.suppress(TimeoutError):
        async with asyncio.timeout(patience):
            await process.wait()
    if process.returncode is None:
        with contextlib.suppress(ProcessLookupError):
            process.kill()
        await process.wait()
