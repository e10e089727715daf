"""The calculation of docs/scaling.md: it adds up, and it says when it cannot."""

from __future__ import annotations

import re
from pathlib import Path

import msgspec
import pytest

from bench.scaling import MAX_CONNECTIONS, ROOM, Costs, Demand, Part, Plan, plan, read_costs, render
from tests.services.hub import PROJECT

COSTS = Costs(
    web_turn=10,
    web_token=0.1,
    hear_token=0.01,
    worker_turn=20,
    worker_token=0.2,
    postgres_turn=5,
    postgres_token=0.01,
    postgres_hear=0.01,
    rabbitmq_turn=1,
)


def part(found: Plan, name: str) -> Part:
    return next(each for each in found.parts if each.name == name)


def test_demand_is_that_of_the_busiest_hour() -> None:
    demand = Demand(users=3600, turns_per_hour=10, tokens=100, pace=20)
    assert (demand.turns, demand.token_rate, demand.streams) == (10, 1000, 50)


def test_nobody_needs_one_of_each() -> None:
    found = plan(Demand(users=0), COSTS)
    assert [each.processes for each in found.parts] == [1, 1, 2, 1, 1]
    assert [each.cores for each in found.parts] == [0] * 5
    assert not found.limit


def test_costs_add_up() -> None:
    found = plan(Demand(users=3600, turns_per_hour=10, tokens=100, pace=20, pictures=0), COSTS)
    # 10 turns and 1,000 tokens a second; each process hears the tokens for 0.01 cores.
    web, worker, postgres = (part(found, name) for name in ("hub web", "hub worker", "PostgreSQL"))
    assert (web.processes, worker.processes) == (1, 1)
    assert web.cores == pytest.approx(0.1 + 0.1 + 0.01)
    assert worker.cores == pytest.approx(0.2 + 0.2 + 0.01)
    assert postgres.cores == pytest.approx(0.05 + 0.01 + 2 * 0.01)
    assert found.connections == 2 * 22 + 10


def test_no_process_is_busier_than_it_may_be() -> None:
    for users in range(0, 200_000, 5000):
        found = plan(Demand(users=users), COSTS)
        for name in ("hub web", "hub worker"):
            if not found.limit:
                assert part(found, name).cores / part(found, name).processes <= ROOM + 1e-9


def test_workers_have_room_for_all_replies_at_once() -> None:
    found = plan(Demand(users=3600, turns_per_hour=10, tokens=100, pace=1), msgspec.structs.replace(COSTS))
    assert part(found, "hub worker").processes * 128 >= 1000 / ROOM


def test_more_than_every_process_can_hear_is_no_plan() -> None:
    found = plan(Demand(users=3600, turns_per_hour=1000, tokens=100), COSTS)
    assert "several hubs" in found.limit
    assert found.limit in render(found)


def test_too_many_connections_are_told() -> None:
    few, many = (plan(Demand(users=users), Costs()) for users in (10, 20_000))
    assert few.connections <= MAX_CONNECTIONS < many.connections
    assert "max_connections" in render(many)
    assert "max_connections" not in render(few)


def test_costs_come_from_the_benchs_file(tmp_path: Path) -> None:
    file = tmp_path / "costs.json"
    figures = [{"name": "web_turn", "value": 7.5}, {"name": "something else", "value": 1.0}]
    file.write_bytes(msgspec.json.encode({"machine": {}, "figures": figures}))
    assert read_costs(file) == Costs(web_turn=7.5)
    assert read_costs(None) == Costs()
    file.write_bytes(msgspec.json.encode({"figures": []}))
    with pytest.raises(SystemExit, match="has no costs"):
        read_costs(file)


def test_the_document_has_the_sums_of_today() -> None:
    lines = (PROJECT / "docs" / "scaling.md").read_text(encoding="utf-8").splitlines()
    rows = [line.strip("| ").split(" | ") for line in lines if re.match(r"\| [0-9,]+ \|", line)]
    sums = [row for row in rows if len(row) == 8]
    assert len(sums) >= 4
    for users, _, _, rate, web, worker, postgres, connections in sums:
        found = plan(Demand(users=int(users.replace(",", ""))), Costs())
        assert rate == f"{found.demand.token_rate:,.0f}"
        for shown, name in ((web, "hub web"), (worker, "hub worker")):
            assert shown == f"{part(found, name).processes} ({part(found, name).cores:.1f} cores)"
        assert postgres == f"{part(found, 'PostgreSQL').cores:.1f} cores"
        assert connections == str(found.connections)
