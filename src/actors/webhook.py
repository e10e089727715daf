"""The webhook actor: sends events to the addresses that users gave."""

from __future__ import annotations

from collections.abc import Mapping
from uuid import UUID

from actors.attempts import Attempts, TaskAttempt, insist
from actors.keeper import Keeper
from hub.core import metrics, tracing
from hub.core.logging import get_logger
from hub.domain.webhooks import attempts
from hub.domain.webhooks.attempts import Failure, Sending
from hub.jobs import queue
from hub.jobs.contracts import JobLostError
from hub.process import Process

logger = get_logger(__name__)

#: The share of a worker's places that may wait for other people's servers at the same time.
SHARE = 0.25
#: Pauses longer than these seconds are left to the sweep.
RING_WITHIN = 60.0


class Webhooks(Attempts["WebhookAttempt"]):
    """The deliveries that this process is making."""

    def __init__(self, process: Process, keeper: Keeper) -> None:
        super().__init__(process, keeper)
        self._most = max(int(process.settings.worker_threads * SHARE), 1)
        self._beginning = 0

    async def begin(self, job_id: UUID) -> WebhookAttempt | None:
        """Claim the job; None when there is nothing to do, or no place for it now."""
        if self.running + self._beginning >= self._most:
            await queue.forget_published([job_id])  # the next sweep rings again, here or elsewhere
            return None
        self._beginning += 1
        try:
            sending = await attempts.begin(job_id, worker=self.process.name)
        finally:
            self._beginning -= 1
        return WebhookAttempt(self.process, sending) if sending is not None else None


class WebhookAttempt(TaskAttempt):
    """One attempt at one delivery."""

    def __init__(self, process: Process, sending: Sending) -> None:
        super().__init__(sending.claim)
        self._process = process
        self._sending = sending

    @property
    def context(self) -> Mapping[str, str]:
        """The ids for the log."""
        return {"webhook_id": str(self._sending.webhook_id), "event_id": str(self._sending.event_id)}

    async def work(self) -> None:
        """Send it, and note how that went."""
        try:
            answer = await self._send()
        except Exception:
            logger.exception("webhook broke")
            answer = Failure(text="something went wrong in the hub")
        if isinstance(answer, Failure):
            await self._fail(answer)
            return
        if not await insist(lambda: attempts.succeed(self._sending, answer)):
            raise JobLostError
        metrics.WEBHOOKS.labels("completed").inc()
        logger.info(
            "webhook delivered",
            event_type=self._sending.event,
            status_code=answer,
            duration_ms=self.elapsed_ms(),
        )

    async def _send(self) -> int | Failure:
        with tracing.span("webhook", kind="client", facts={"hub.webhook.event": self._sending.event}) as sent:
            answer = await self._process.webhooks.sender.send(self._sending)
            status = answer.status_code if isinstance(answer, Failure) else answer
            if status is not None:
                sent.tell({"http.response.status_code": status})
            if isinstance(answer, Failure):
                sent.fail("webhook_failed")
            return answer

    async def _fail(self, failure: Failure) -> None:
        tracing.fail("webhook_failed")
        outcome = await insist(lambda: attempts.fail(self._sending, failure))
        if outcome is None:
            raise JobLostError
        metrics.WEBHOOKS.labels("failed" if outcome.pause is None else "retried").inc()
        logger.warning(
            "webhook failed",
            event_type=self._sending.event,
            reason=failure.text,
            will_retry=outcome.pause is not None,
            disabled=outcome.disabled,
            duration_ms=self.elapsed_ms(),
        )
        self._process.webhooks.tell(outcome.cancelled)
        if outcome.pause is not None and outcome.pause <= RING_WITHIN:
            self._process.relay.ring_later(self.claim.job_id, self.claim.kind, outcome.pause)
