"""Turns in many conversations while web, worker, broker and database are killed and started again."""

from __future__ import annotations

from dataclasses import dataclass

from tests.chaos.killer import Killer
from tests.chaos.oracle import Verdict
from tests.chaos.progress import Progress
from tests.chaos.report import Finding, none_of
from tests.chaos.sizes import Size
from tests.chaos.talker import Talker, make_talkers, verdict_on
from tests.chaos.world import World, all_of, answering
from tests.fakes.llm import Body
from tests.fakes.llm_script import Script, default_text, reply

PROMISE = "no accepted message is lost, doubled or out of order"
_DELAYS = (0.0, 0.02, 0.05, 0.1)


@dataclass
class Left:
    """How many turns are still to be made, by whichever conversation comes first."""

    count: int

    def take(self, wanted: int) -> int:
        """Return how many of those wanted may be made."""
        taken = min(wanted, self.count)
        self.count -= taken
        return taken


async def run(world: World, size: Size, progress: Progress) -> list[Finding]:
    """Let clients talk while the killer kills, then ask the oracle."""
    total = size.of(200, 10_000)
    talkers = await make_talkers(world, users=size.of(10, 50), conversations=size.of(2, 4))

    left = Left(total)

    def answer(body: Body) -> Script:
        world.fake.requests.clear()  # thousands of long talks would fill the memory
        progress.done = sum(talker.answered for talker in talkers)
        return reply(default_text(body), delay=world.random.choice(_DELAYS))

    if size is Size.FULL:
        killer = Killer(world, pause=(1.5, 5.0), at_once=2, hurry=False)
    else:
        killer = Killer(world, pause=(0.2, 0.8), at_once=1, hurry=True, most=6)
    async with answering(world, answer), killer, progress.of(total, "turns", lambda: killer.shown):
        await all_of(talker.talk(left.take) for talker in talkers)
    verdict = await verdict_on(world, talkers)
    return [*_findings(verdict, talkers, killer, total), *await _texts(world, talkers)]


def _findings(verdict: Verdict, talkers: list[Talker], killer: Killer, total: int) -> list[Finding]:
    done = f"{total:,} turns, {killer.shown}"
    connections = sum(talker.connections for talker in talkers)
    repeats = sum(talker.repeats for talker in talkers)
    retries = sum(len(talker.asked_again) for talker in talkers)
    clients = f"{connections:,} connections, {repeats:,} sends repeated, {retries} replies asked for again"
    answered = sum(talker.answered for talker in talkers)
    lost = [*verdict.lost, *(["not all turns were made"] if answered != total else [])]
    return [
        none_of("no message and no reply is lost", done, lost, what="lost", details=(clients,)),
        none_of("no message and no reply is doubled", done, verdict.doubled, what="doubled"),
        none_of("all stands in order", done, verdict.disordered, what="out of order"),
        none_of("rows agree", done, verdict.torn, what="contradictions"),
        none_of("no process ends by itself", done, killer.died, what="ended"),
        none_of("every kind of process was killed", done, killer.spared, what="spared"),
    ]


async def _texts(world: World, talkers: list[Talker]) -> list[Finding]:
    rows = await world.query("SELECT response_id, content FROM messages WHERE response_id IS NOT NULL")
    stored = {str(row["response_id"]): row["content"] for row in rows}
    seen = {key: text for talker in talkers for key, text in talker.replies.items()}
    wrong = [f"{key}: {text!r} was seen" for key, text in seen.items() if stored.get(key) != text]
    wrong += [each for talker in talkers for each in talker.violations]
    streamed = sum(talker.streamed for talker in talkers)
    done = f"{len(seen):,} replies, {streamed:,} deltas"
    return [none_of("what clients saw is what is stored", done, wrong, what="differences")]
