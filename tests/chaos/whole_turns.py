"""Turns with scenes and pictures while everything is killed, and wipes in the middle of them."""

from __future__ import annotations

from tests.chaos.killer import Killer
from tests.chaos.oracle import Verdict
from tests.chaos.progress import Progress
from tests.chaos.report import Finding, none_of
from tests.chaos.sizes import Size
from tests.chaos.talker import Talker, make_talkers, verdict_on
from tests.chaos.turns import Left
from tests.chaos.whole import at_rest, whole_turns, wrong_pictures
from tests.chaos.wipes import Wiper, left_of, make_wipers, races
from tests.chaos.world import World, all_of, answering
from tests.fakes.llm import Body
from tests.fakes.llm_script import Script, default_text, reply
from tests.services.picture_files import Store

_DELAYS = (0.0, 0.02, 0.05, 0.1)
_PAINTS = 0.3
#: Seconds for the last pictures: of one whose worker was killed three times, each by the length of a lease.
_REST = 150.0


async def run(world: World, size: Size, progress: Progress) -> list[Finding]:
    """Let clients talk, paint and wipe while the killer kills; then race wipes against what they end."""

    def answer(body: Body) -> Script:
        world.fake.requests.clear()  # thousands of long talks would fill the memory
        return reply(default_text(body), delay=world.random.choice(_DELAYS))

    async with answering(world, answer), whole_turns(world):
        found = await _killed(world, size, progress)
        return [*found, *await races(world, size, progress), await _files(world)]


async def _killed(world: World, size: Size, progress: Progress) -> list[Finding]:
    total = size.of(40, 2_000)
    world.painter.forget()
    talkers = await make_talkers(world, users=size.of(6, 30), conversations=2, paints=_PAINTS)
    wipers = await make_wipers(world, size.of(2, 10))
    left = Left(total)
    if size is Size.FULL:
        killer = Killer(world, pause=(1.5, 5.0), at_once=2, hurry=False)
    else:
        names = frozenset({"web", "worker"})  # the others take longer to start; see turns
        killer = Killer(world, pause=(0.1, 0.4), at_once=2, hurry=True, most=3, names=names)

    def shown() -> str:
        progress.done = sum(talker.answered for talker in talkers)
        return killer.shown

    async with progress.of(total, "whole turns", shown):
        async with killer:
            wiping = [wiper.live(size.of(2, 40)) for wiper in wipers]
            await all_of([*(talker.talk(left.take) for talker in talkers), *wiping])
        stuck = await at_rest(world, within=_REST)
    verdict = await verdict_on(world, talkers)
    done = f"{total:,} turns, {killer.shown}"
    return [
        *_of_texts(verdict, talkers, done, total),
        *_of_kills(killer, done, size),
        *await _of_pictures(world, talkers, done, stuck),
        await _of_wipers(world, wipers),
    ]


def _of_texts(verdict: Verdict, talkers: list[Talker], done: str, total: int) -> list[Finding]:
    answered = sum(talker.answered for talker in talkers)
    lost = [*verdict.lost, *(["not all turns were made"] if answered != total else [])]
    wrong = [*verdict.doubled, *verdict.disordered, *verdict.torn]
    wrong += [each for talker in talkers for each in talker.violations]
    return [
        none_of("pictures and scenes cost no message and no reply", done, lost, what="lost"),
        none_of("nor double or move one", done, wrong, what="doubled, out of order, contradictory"),
    ]


def _of_kills(killer: Killer, done: str, size: Size) -> list[Finding]:
    found = [none_of("no process ends by itself", done, killer.died, what="ended")]
    if size is Size.FULL:  # in a short run the turns may be over before
        found.append(none_of("every kind of process was killed", done, killer.spared, what="spared"))
    return found


async def _of_pictures(world: World, talkers: list[Talker], done: str, stuck: list[str]) -> list[Finding]:
    wrong = await wrong_pictures(world, [key for talker in talkers for key in talker.said])
    painted = sum(len(talker.painted) for talker in talkers)
    ends = await world.query(
        "SELECT status, error_code, count(*) FROM jobs WHERE kind = 'image' GROUP BY 1, 2 ORDER BY 1, 2"
    )
    shown = ", ".join(f"{row['count']} {row['error_code'] or row['status']}" for row in ends)
    again = sum(count - 1 for count in world.painter.served.values())
    calls = f"{world.painter.served.total()} calls, {again} of them for pictures whose worker was killed"
    wanted = await world.query(
        "SELECT seed FROM image_requests JOIN jobs USING (id) WHERE status <> 'cancelled' AND seed = ANY($1)",
        [earlier for earlier, _ in world.painter.together],
    )
    kept = {row["seed"] for row in wanted}
    together = [f"{later} while {earlier}" for earlier, later in world.painter.together if earlier in kept]
    # One that is cancelled or wiped is let go of while its worker still stops it.
    stopping = len(world.painter.together) - len(together)
    overlaps = f"{world.painter.overlaps} calls while one was made that nobody waits for, or is being stopped"
    overlaps += f" ({stopping})"
    return [
        none_of("each picture ends", f"{painted:,} with messages; {shown}", stuck, what="stuck"),
        none_of("and is one, with its message", done, wrong, what="contradictions"),
        none_of(
            "live workers never call AUTOMATIC1111 together",
            calls,
            together,
            what="calls together",
            details=(overlaps,),
        ),
    ]


async def _of_wipers(world: World, wipers: list[Wiper]) -> Finding:
    wrong = [each for wiper in wipers for each in wiper.wrong]
    wrong += await left_of(world, [wiper.companion_id for wiper in wipers])
    done = f"{sum(wiper.wipes for wiper in wipers):,} wipes of {len(wipers)} companions"
    return none_of("a wipe among kills leaves nothing", done, wrong, what="left")


async def _files(world: World) -> Finding:
    """Compare rows and files by the commands that operators have for it."""
    store = Store(world.webs[0])
    collected = await store.gc("--grace", "0")
    verified = await store.images("verify")
    wrong = [] if verified.code == 0 else verified.output.splitlines()
    done = f"hub images gc ({collected}), verify"
    return none_of("rows and files agree after kills and wipes", done, wrong, what="faults")
