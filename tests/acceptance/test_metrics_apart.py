"""Numbers of ``hub web`` and ``hub worker`` apart: each count is told once, by the web or by the worker."""

from __future__ import annotations

import asyncio
import socket
import time
from pathlib import Path

import httpx2

from tests.fakes.llm import FakeLLM
from tests.services.hub import NO_TLS, Client, HubServer, llm_settings
from tests.services.numbers import PROMISED, Numbers, numbers
from tests.services.ports import free_ports

COMPLETED = {"status": "completed"}


async def completed(url: str, count: int) -> Numbers:
    """Wait until a process tells so many completed responses."""
    deadline = time.monotonic() + 10
    while (told := await numbers(url)).value("hub_responses_total", **COMPLETED) < count:
        assert time.monotonic() < deadline, told.text
        await asyncio.sleep(0.1)
    return told


async def talk(client: Client) -> None:
    """Have one message answered."""
    sent = await client.send((await client.conversation())["id"], "Hello")
    assert (await client.ended(sent["response"]["id"]))["status"] == "completed"


async def test_what_a_worker_counts_is_told_once(tmp_path: Path, ready_database: str, llm: FakeLLM) -> None:
    settings = {**llm_settings(llm.url), "HUB_DATABASE_URL": ready_database}
    (port,) = free_ports(1)
    web = HubServer(tmp_path / "web", "web", **settings)
    plain = HubServer(tmp_path / "plain", "worker", **settings)
    told = HubServer(tmp_path / "told", "worker", HUB_METRICS_PORT=str(port), **settings)
    try:
        await asyncio.gather(web.start(), plain.start())
        client = await Client(web.url).register()
        await talk(client)
        for _ in range(2):  # the second time there is nothing new
            seen = await completed(web.url, 1)
            assert seen.value("hub_responses_total", **COMPLETED) == 1
            assert seen.value("hub_queue_wait_seconds_count", kind="reply") == 1
            assert seen.value("hub_first_token_seconds_bucket", le="+Inf") == 1
        await client.close()
        stopped, _ = await asyncio.gather(plain.stop(), told.start())
        assert stopped == 0
        own = await numbers(f"http://127.0.0.1:{port}")
        assert PROMISED.items() <= own.types.items()
        assert own.empty == set(), "from the first answer on"
        assert own.value("hub_responses_total", **COMPLETED) == 0
        assert own.value("process_start_time_seconds") > seen.value("process_start_time_seconds")
        async with httpx2.AsyncClient(base_url=f"http://127.0.0.1:{port}", verify=NO_TLS) as http:
            assert (await http.get("/api/health")).status_code == 404
            assert (await http.get("/metrics", headers={"Host": "evil.example"})).status_code == 400
            assert (await http.get("/metrics", headers={"X-Forwarded-For": "1.2.3.4"})).status_code == 403
        assert await told.stop() == 0
        assert "Traceback" not in web.output + plain.output + told.output
    finally:
        for server in (web, plain, told):
            server.close()


async def test_a_worker_whose_port_is_taken_says_so(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        worker = HubServer(tmp_path, "worker", HUB_METRICS_PORT=str(port))
        worker.launch()
        try:
            assert await worker.exit_code() == 1
        finally:
            worker.close()
    assert f"Port {port} on 127.0.0.1 is taken. Stop what uses it, or set HUB_METRICS_PORT." in worker.output
