"""``python -m bench.scaling --users 5000``: how many processes, connections and megabytes that many need.

A calculation, not a measurement: it takes what a turn and a token cost each part, as ``make bench
args=scaling`` measures it (bench/costs.py), and adds it up. docs/scaling.md explains what it leaves out.
"""

from __future__ import annotations

import argparse
import math
import sys
from pathlib import Path

import msgspec
from msgspec import Struct

from hub.core.settings import Settings

#: How much of a core may be used, so that a burst finds room.
ROOM = 0.6
#: Connections beside the pool: one that sends live events and one that listens for them.
BUS_CONNECTIONS = 2
#: PostgreSQL's own default.
MAX_CONNECTIONS = 100
#: What is left for psql, backups and migrations.
SPARE_CONNECTIONS = 10


class Costs(Struct, frozen=True, kw_only=True):
    """What a turn, a token and a picture cost each part: CPU milliseconds, megabytes.

    The defaults are rounded from three runs on 2 busy cores of an Intel Xeon; each group names its bench.
    """

    # make bench args=scaling
    web_turn: float = 2.7
    web_token: float = 0.08  # for the one who follows the talk
    hear_token: float = 0.02  # for every web server and worker, whoever's token it is
    worker_turn: float = 3.8
    worker_token: float = 0.17
    postgres_turn: float = 4.5
    postgres_token: float = 0.06
    postgres_hear: float = 0.01  # for every process that hears the token
    rabbitmq_turn: float = 0.95
    # make bench args=turn: a painted picture of 832 x 1216, its bytes and its job
    worker_picture: float = 140.0
    # make bench args=images: the stored file with its thumbnail
    picture_mb: float = 0.118
    image_process_mb: float = 69.0
    # make bench args=memory
    web_mb: float = 106.0
    worker_mb: float = 77.0
    web_stream_mb: float = 0.07
    worker_stream_mb: float = 0.05


class Demand(Struct, frozen=True, kw_only=True):
    """What the users do in the busiest hour."""

    users: int
    turns_per_hour: float = 20.0
    tokens: int = 150
    pace: float = 20.0
    """Tokens a second of one reply."""
    pictures: float = 0.1
    """The share of turns that asks for a picture."""

    @property
    def turns(self) -> float:
        """Turns a second."""
        return self.users * self.turns_per_hour / 3600

    @property
    def token_rate(self) -> float:
        """Tokens a second of all replies."""
        return self.turns * self.tokens

    @property
    def streams(self) -> float:
        """Replies that are being written at the same time."""
        return self.token_rate / self.pace


class Part(Struct, frozen=True, kw_only=True):
    """One kind of process: how many, and how busy and large all of them are together."""

    name: str
    processes: int
    cores: float
    memory_mb: float = 0.0


class Plan(Struct, frozen=True, kw_only=True):
    """What is needed; ``limit`` says why it cannot be had in this way."""

    demand: Demand
    parts: tuple[Part, ...]
    connections: int
    disk_gb_per_day: float
    limit: str = ""


def plan(demand: Demand, costs: Costs) -> Plan:
    """Add up what ``demand`` needs.

    Every process hears every token of the whole hub, so each further process has a little less room for work
    of its own: the number of web servers and workers is counted with that share taken away.
    """
    heard = demand.token_rate * costs.hear_token / 1000
    if heard >= ROOM:
        return Plan(
            demand=demand, parts=(), connections=0, disk_gb_per_day=0.0, limit=_TOO_MANY.format(cores=heard)
        )
    turns, tokens = demand.turns / 1000, demand.token_rate / 1000
    web = turns * costs.web_turn + tokens * costs.web_token
    pictures = turns * demand.pictures * costs.worker_picture
    worker = turns * costs.worker_turn + tokens * costs.worker_token
    webs = _count(web, heard)
    slots = math.ceil(demand.streams / ROOM / Settings().worker_threads)
    workers = max(_count(worker, heard), slots)
    listeners = webs + workers
    postgres = turns * costs.postgres_turn + tokens * (costs.postgres_token + listeners * costs.postgres_hear)
    per_process = Settings().database_pool_size + BUS_CONNECTIONS
    kept = Settings().image_processes * costs.image_process_mb
    return Plan(
        demand=demand,
        parts=(
            Part(
                name="hub web",
                processes=webs,
                cores=web + webs * heard,
                memory_mb=webs * (costs.web_mb + kept) + demand.streams * costs.web_stream_mb,
            ),
            Part(
                name="hub worker",
                processes=workers,
                cores=worker + workers * heard,
                memory_mb=workers * (costs.worker_mb + kept) + demand.streams * costs.worker_stream_mb,
            ),
            Part(
                name="image processes of the workers",
                processes=workers * Settings().image_processes,
                cores=pictures,
            ),
            Part(name="PostgreSQL", processes=1, cores=postgres),
            Part(name="RabbitMQ", processes=1, cores=turns * costs.rabbitmq_turn),
        ),
        connections=listeners * per_process + SPARE_CONNECTIONS,
        disk_gb_per_day=demand.turns * demand.pictures * costs.picture_mb * 86_400 / 1000,
    )


_TOO_MANY = (
    "Hearing every token would take {cores:.2f} of each process's core: no number of processes is enough."
    " Run several hubs, each with its own database, and give every user one of them."
)


def _count(work: float, heard: float) -> int:
    """Return how many processes of one core each do this work beside what each of them hears."""
    return max(1, math.ceil(work / (ROOM - heard)))


def render(found: Plan) -> str:
    """Return the plan as a table."""
    demand, pictures = found.demand, found.demand.turns * found.demand.pictures
    lines = [
        f"{demand.users:,} users, {demand.turns_per_hour:g} turns an hour, {demand.tokens} tokens a reply:",
        f"  {demand.turns:.1f} turns/s, {demand.streams:.0f} replies at once, {pictures:.2f} pictures/s",
        f"  language model: {demand.token_rate:,.0f} tokens/s; it fills long before all else",
    ]
    if found.limit:
        return "\n".join([*lines, f"  {found.limit}"])
    for part in found.parts:
        memory = f", {part.memory_mb:,.0f} MB" if part.memory_mb else ""
        lines.append(f"  {part.name}: {part.processes}, {part.cores:.2f} cores in all{memory}")
    cores, memory_mb = (sum(getattr(part, name) for part in found.parts) for name in ("cores", "memory_mb"))
    lines.append(
        f"  all that: {cores:.1f} cores at work, {memory_mb:,.0f} MB without PostgreSQL and RabbitMQ"
    )
    lines.append(f"  database connections: {found.connections}{_advice(found.connections)}")
    lines.append(f"  pictures on disk: {found.disk_gb_per_day:.1f} GB a day, were every hour the busiest")
    return "\n".join(lines)


def _advice(connections: int) -> str:
    if connections <= MAX_CONNECTIONS:
        return ""
    return (
        f" (more than PostgreSQL's {MAX_CONNECTIONS}: raise max_connections or lower HUB_DATABASE_POOL_SIZE)"
    )


def main() -> None:
    """Read the demand from the command line and print the plan."""
    usual = Demand(users=0)
    parser = argparse.ArgumentParser(prog="bench.scaling", description="Say what so many users need.")
    parser.add_argument("--users", type=int, nargs="+", default=[100, 1000, 10_000], metavar="N")
    parser.add_argument("--turns-per-hour", type=float, default=usual.turns_per_hour, metavar="N")
    parser.add_argument("--tokens", type=int, default=usual.tokens, metavar="N", help="of a reply")
    parser.add_argument(
        "--pace", type=float, default=usual.pace, metavar="N", help="tokens a second of a reply"
    )
    parser.add_argument(
        "--pictures", type=float, default=usual.pictures, metavar="SHARE", help="of the turns"
    )
    parser.add_argument(
        "--costs", type=Path, metavar="FILE", help='measured elsewhere: make bench args="scaling --json FILE"'
    )
    options = vars(parser.parse_args())
    costs = read_costs(options.pop("costs"))
    for users in options.pop("users"):
        print(render(plan(Demand(users=users, **options), costs)), end="\n\n")


def read_costs(file: Path | None) -> Costs:
    """Return the costs in a file of figures; what it does not name, or no file, is as recorded here."""
    if file is None:
        return Costs()
    found = msgspec.json.decode(file.read_bytes())["figures"]
    known = {field.name: field for field in msgspec.structs.fields(Costs)}
    named = {each["name"]: each["value"] for each in found if each["name"] in known}
    if not named:
        sys.exit(f'{file} has no costs: write it with make bench args="scaling --json {file}"')
    return Costs(**named)


if __name__ == "__main__":
    main()
