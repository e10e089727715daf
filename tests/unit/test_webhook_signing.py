"""Signatures are those of the specification, and secrets follow from the hub's key."""

from __future__ import annotations

import base64
from uuid import uuid4

import pytest

from hub.core.clock import utc_now
from hub.core.redaction import scrub
from hub.domain.webhooks.attempts import Failure, Sending
from hub.domain.webhooks.sending import Sender
from hub.domain.webhooks.signing import Secrets, signature
from hub.jobs.contracts import Claim, JobKind, attempts_of, pause_after

KEY = "a key of the hub that has 32 characters"
#: Published with the reference libraries of Standard Webhooks.
SECRET = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"
BODY = b'{"test": 2432232314}'
SIGNATURE = "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE="


def sign(*keys: str) -> str:
    return signature(keys, message_id="msg_p5jXN8AQM9LWM0D4loKWxJek", timestamp=1614265330, body=BODY)


def test_the_published_vector() -> None:
    assert sign(SECRET) == SIGNATURE


def test_several_secrets_sign_side_by_side() -> None:
    _, other = Secrets(KEY).make()
    both = sign(other, SECRET)
    assert both.split(" ")[1] == SIGNATURE
    assert len(set(both.split(" "))) == 2


def test_a_secret_is_as_the_specification_wants_it() -> None:
    secrets = Secrets(KEY)
    made = [secrets.make() for _ in range(50)]
    assert len({secret for _, secret in made}) == 50
    for seed, secret in made:
        assert secret.startswith("whsec_")
        assert 24 <= len(base64.b64decode(secret.removeprefix("whsec_"), validate=True)) <= 64
        assert secrets.of(seed) == Secrets(KEY).of(seed) == secret
        assert base64.b64decode(secret.removeprefix("whsec_"))[:8] not in seed


def test_another_key_of_the_hub_is_noticed() -> None:
    seed, _ = Secrets(KEY).make()
    assert Secrets(KEY + "!").of(seed) is None
    assert Secrets(KEY).of(seed[:-1] + bytes([seed[-1] ^ 1])) is None
    assert Secrets(KEY).of(b"") is None


async def test_nothing_is_sent_with_another_key() -> None:
    seed, _ = Secrets(KEY).make()
    sending = Sending(
        claim=claim(1),
        webhook_id=uuid4(),
        url="http://localhost:9/",
        seeds=[seed],
        event_id=uuid4(),
        event="webhook.test",
        body="{}",
    )
    answer = await Sender(Secrets("of another hub"), private_hosts=["localhost"]).send(sending)
    assert isinstance(answer, Failure)
    assert "secret" in answer.text


def test_a_secret_in_a_line_of_the_log_is_masked() -> None:
    _, secret = Secrets(KEY).make()
    assert scrub(f"verify with {secret}, please") == "verify with ***, please"


def claim(attempt: int, *, handed_over: int = 0) -> Claim:
    return Claim(
        job_id=uuid4(),
        kind=JobKind.WEBHOOK,
        lane="webhook:x",
        attempt=attempt + handed_over,
        max_attempts=attempts_of(JobKind.WEBHOOK) + handed_over,
        subject_id=uuid4(),
        user_id=None,
        request_id="",
        created_at=utc_now(),
    )


@pytest.mark.parametrize("handed_over", [0, 3])
def test_pauses_are_those_of_the_specification_and_a_little_longer(handed_over: int) -> None:
    expected = [5, 300, 1800, 7200, 18_000, 36_000, 50_400, 72_000, 86_400]
    for attempt, seconds in enumerate(expected, start=1):
        mine = claim(attempt, handed_over=handed_over)
        pauses = {pause_after(mine) for _ in range(20)}
        assert len(pauses) > 1, "receivers that failed together are not asked together"
        assert all(seconds <= pause <= seconds * 1.1 for pause in pauses)
        assert not mine.is_last
    assert claim(len(expected) + 1, handed_over=handed_over).is_last
    assert pause_after(claim(1), wish=1200) == 1200
    assert pause_after(claim(1), wish=1e9) == 3600
    assert 300 <= pause_after(claim(2), wish=1) <= 330
