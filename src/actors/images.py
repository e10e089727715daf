"""The image actor: has a picture made by the image server, and stores it with its message."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from contextlib import suppress
from http import HTTPStatus
from uuid import UUID

from actors.attempts import Attempts, Stop, TaskAttempt, insist
from hub.core import metrics, tracing
from hub.core.errors import HubError
from hub.core.logging import get_logger
from hub.db.engine import DATABASE_ERRORS, UNAVAILABLE
from hub.domain.chat import message_changes
from hub.domain.images.schemas import Image, Recipe
from hub.domain.images.service import NewImage, Prepared
from hub.domain.painting import queries
from hub.domain.painting.prompt import PicturePrompt, Subject, completed, completed_negative, picture_prompt
from hub.domain.painting.queries import Request
from hub.domain.webhooks import events as webhooks
from hub.domain.webhooks.schemas import ImageCompleted
from hub.jobs import store
from hub.jobs.contracts import JobLostError
from hub.live.events import Changed
from hub.process import Process
from hub.providers.images.protocol import ImageServerError, Picture, PictureOrder, Progress
from hub.storage.errors import disk_errors
from hub.storage.images import TooManyPixelsError, UnreadableImageError, UnsupportedImageError
from hub.storage.threads import to_end

logger = get_logger(__name__)

#: Seconds between two notes of how far a picture is.
NOTE_EVERY = 1.0
#: Seconds beyond the image server's own patience, after which an attempt is given up whatever it does.
SPARE = 30.0
_UNFIT = "The image server sent a picture that cannot be used. Ask the operator to look into its settings."


class Images(Attempts["ImageAttempt"]):
    """The pictures that this process is having made."""

    async def begin(self, job_id: UUID) -> ImageAttempt | None:
        """Claim the job; None when there is nothing to do."""
        request = await queries.begin(job_id, worker=self.process.name)
        return ImageAttempt(self.process, request) if request is not None else None


class ImageAttempt(TaskAttempt):
    """One attempt at one picture."""

    def __init__(self, process: Process, request: Request) -> None:
        super().__init__(request.claim)
        self._process = process
        self._request = request
        self._share = 0.0
        self._moved = asyncio.Event()
        self._told: list[UUID] = []

    @property
    def context(self) -> Mapping[str, str]:
        """The ids for the log."""
        ids = {"companion_id": str(self._request.companion_id)}
        if self._request.conversation_id is not None:
            ids["conversation_id"] = str(self._request.conversation_id)
        return ids

    async def run(self) -> None:
        """Make the attempt, and tell those who watch when it begins and when it ends."""
        telling = asyncio.create_task(self._tell())  # the image server need not wait for it
        try:
            await super().run()
        finally:
            await telling
            await self._tell()

    async def work(self) -> None:
        """Have it made and store it, or fail."""
        try:
            picture, prompt = await self._make_in_time()
            image = await self._store(picture, prompt)
        except ImageServerError as error:
            await self._fail(error)
        except (TooManyPixelsError, UnreadableImageError, UnsupportedImageError) as error:
            await self._fail(_broken(error.code, _UNFIT))  # its own sentence is for people who send pictures
        except HubError as error:  # there is no room for it
            again = error.status == HTTPStatus.SERVICE_UNAVAILABLE
            await self._fail(_broken(error.code, f"{error.title}. {error}", transient=again))
        except JobLostError:
            raise
        except DATABASE_ERRORS:  # the lease will end, and the picture be made again
            raise
        except Exception:
            logger.exception("image broke")
            await self._fail(
                _broken("internal_error", "Something went wrong while it was made. Ask for it again.")
            )
        else:
            metrics.IMAGES.labels("completed").inc()
            metrics.IMAGE_SECONDS.observe(self.elapsed())
            self._process.webhooks.ring(self._told)
            logger.info(
                "image generation completed and uploaded",
                image_id=str(image.id),
                provider=image.recipe.provider if image.recipe else None,
                size_kb=round(image.bytes / 1000, 1),
                saved=f"{1 - image.bytes / image.original_bytes:.1%}",
                duration_ms=self.elapsed_ms(),
            )

    async def _make_in_time(self) -> tuple[Picture, PicturePrompt]:
        limit = asyncio.timeout(self._process.settings.sd_timeout + SPARE)
        try:
            async with limit:
                await self._process.images.files.require_room()  # it would be painted for nothing
                return await self._make()
        except TimeoutError:
            if not limit.expired():  # it is the database that does not answer
                raise
            text = "The picture was not done in time. Try again later."
            raise _broken("image_timeout", text) from None

    async def _make(self) -> tuple[Picture, PicturePrompt]:
        request, prompt = self._request, self._prompt()
        order = PictureOrder(
            prompt=prompt.prompt,
            negative_prompt=prompt.negative_prompt,
            seed=request.seed,
            width=request.width,
            height=request.height,
            title=request.name,
            captions=(request.scene.outfit, request.scene.location, request.scene.action),
        )
        progress = Progress(
            tell=self._note,
            keep_ticket=self._keep_ticket,
            hands_over=lambda: self.stopped is Stop.SHUTDOWN,
        )
        noting = asyncio.create_task(self._note_forever())
        try:
            picture = await self._process.image_server.make(order, progress=progress, ticket=request.ticket)
        finally:
            noting.cancel()
            await asyncio.gather(noting, return_exceptions=True)
        return picture, prompt

    def _prompt(self) -> PicturePrompt:
        """Take what the user wrote, and where they wrote nothing what follows from companion and scene."""
        request, prompts = self._request, self._process.prompts
        written = picture_prompt(
            prompts,
            Subject(
                name=request.name,
                appearance=request.appearance,
                user_appearance=request.user_appearance,
                scene=request.scene,
                details=request.details,
            ),
        )
        negative = request.negative_prompt
        return PicturePrompt(
            prompt=completed(prompts, request.prompt) if request.prompt else written.prompt,
            negative_prompt=completed_negative(prompts, negative) if negative else written.negative_prompt,
        )

    async def _store(self, picture: Picture, prompt: PicturePrompt) -> Image:
        request, images = self._request, self._process.images
        new = NewImage(
            companion_id=request.companion_id,
            user_id=request.user_id,
            original_bytes=len(picture.content),
            recipe=Recipe(
                prompt=prompt.prompt,
                negative_prompt=prompt.negative_prompt,
                seed=picture.seed,
                provider=self._process.image_server.provider,
                model=picture.model,
                sampler=picture.sampler,
                steps=picture.steps,
                width=request.width,
                height=request.height,
                scene=request.scene,
            ),
        )
        async with images.files.temporary() as temp:
            with disk_errors():
                await to_end(temp.path.write_bytes, picture.content)
            async with images.prepared(temp.path, kind="generated") as prepared:
                return await insist(lambda: self._record(prepared, new))

    async def _record(self, prepared: Prepared, new: NewImage) -> Image:
        return await self._process.images.store(prepared, new, within=self._end)

    async def _end(self, image: Image) -> None:
        """End the job in the transaction that stores the picture, and let it go with its message."""
        request = self._request
        if not await queries.finish(self.claim, image.id):
            raise JobLostError
        if request.conversation_id is not None and request.response_id is not None:
            await message_changes.set_image(request.conversation_id, request.response_id, image.id)
        done = ImageCompleted(
            id=image.id,
            companion_id=request.companion_id,
            job_id=self.claim.job_id,
            conversation_id=request.conversation_id,
            response_id=request.response_id,
        )
        self._told = await webhooks.announce(done, user_id=request.user_id, request_id=self.claim.request_id)

    async def _fail(self, error: ImageServerError) -> None:
        claim = self.claim
        again = error.transient and not claim.is_last
        tracing.fail(error.code)
        logger.warning(
            "image failed",
            code=error.code,
            detail=error.detail,
            will_retry=again,
            duration_ms=self.elapsed_ms(),
        )
        if not again:
            if not await insist(lambda: store.fail(claim, code=error.code, message=error.message)):
                raise JobLostError
            metrics.IMAGES.labels("failed").inc()
            return
        delay = await insist(lambda: store.retry_later(claim, retry_after=error.retry_after))
        if delay is None:
            raise JobLostError
        metrics.IMAGES.labels("retried").inc()
        self._process.relay.ring_later(claim.job_id, claim.kind, delay)

    # While it is made

    def _note(self, share: float) -> None:
        self._share = min(max(share, self._share), 0.99)  # the last of it is that it is stored
        self._moved.set()

    async def _note_forever(self) -> None:
        while True:
            await self._moved.wait()
            self._moved.clear()
            with suppress(*UNAVAILABLE):
                if not await store.note_progress(self.claim, self._share):
                    self.stop(Stop.LOST)
                    return
                self._tell_progress()
            await asyncio.sleep(NOTE_EVERY)

    async def _keep_ticket(self, ticket: str) -> None:
        if not await insist(lambda: queries.keep_ticket(self.claim, ticket)):
            raise JobLostError

    def _tell_progress(self) -> None:
        request = self._request
        if request.conversation_id is not None:
            self._process.bus.publish(Changed(request.conversation_id, request.response_id))

    async def _tell(self) -> None:
        """Tell who watches this one, and who waits behind it."""
        with suppress(*UNAVAILABLE):
            await self._process.painting.tell(self.claim.job_id, lane=self.claim.lane)


def _broken(code: str, message: str, *, transient: bool = False) -> ImageServerError:
    return ImageServerError(code, message, transient=transient)
