"""Forms with a file, which goes to the disk as it comes while the fields are kept to be shown again."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager

from msgspec import Struct
from multipart import MultipartSegment, parse_options_header

from hub.core.errors import FieldError, HubError
from hub.storage.files import FileStore, TempFile
from hub.web.requests import HubRequest, UnsupportedMediaTypeError
from hub.web.uploads import (
    MULTIPART,
    PICTURE,
    Upload,
    UploadTooLargeError,
    UploadWriter,
    body_of,
    parts_of,
)

#: Bytes of all fields together: each as long as it may be, and more.
_FIELDS_LIMIT = 512 * 1024
#: Bytes of a form that are read at most. A browser shows an answer only to a form that it could send whole,
#: so a file that is too large is read on, and thrown away.
_READ_ON = 64 * 1024 * 1024


class EmptyFileError(HubError):
    """A file without a single byte."""

    status = 422
    code = "empty_file"
    title = "The file is empty"


class SentForm(Struct):
    """A form as it came: its fields, and its file of ``size`` bytes where one was chosen.

    ``refusal`` says why there is no file although one was sent.
    """

    fields: dict[str, str]
    file: TempFile | None = None
    size: int = 0
    refusal: HubError | None = None

    @property
    def had_file(self) -> bool:
        """Whether somebody chose a file, taken or not."""
        return self.file is not None or self.refusal is not None


@asynccontextmanager
async def received_form(
    request: HubRequest,
    files: FileStore,
    *,
    name: str,
    upload: Upload = PICTURE,
    refusal: HubError | None = None,
) -> AsyncIterator[SentForm]:
    """Read a form that a browser sends with or without a file, which lies on the disk until the end.

    Whatever is wrong with the file alone is told by the form, so that nobody has to type the rest again.

    Args:
        request: the body of which has not been read.
        files: where the file goes.
        name: the field's that has the file.
        upload: what is taken.
        refusal: why no file is taken at all; one that is sent is thrown away, and the fields are kept.

    Raises:
        UnsupportedMediaTypeError: it is not sent as a form with a file.
        InvalidRequestError: it is not well-formed, or its fields are too long.
        UploadTooLargeError: it is too large to be read at all.
        IncompleteRequestError: the client left or went silent.
    """
    media_type, options = parse_options_header(request.headers.get("content-type", ""))
    if media_type != MULTIPART:
        raise UnsupportedMediaTypeError("Send the form as a browser does.")
    if (request.content_length or 0) > _READ_ON:
        raise UploadTooLargeError(upload)
    async with AsyncExitStack() as stack:
        reading = _Reading(files, stack, name, upload, refusal)
        async for part in parts_of(body_of(request, _READ_ON, upload), options.get("boundary", "")):
            await reading.take(part)
        await reading.end()
        yield reading.form


class _Reading:
    """Sorts what comes of a form; a file is opened when its first bytes are there."""

    def __init__(
        self, files: FileStore, stack: AsyncExitStack, name: str, upload: Upload, refusal: HubError | None
    ) -> None:
        self.form = SentForm({}, refusal=refusal)
        self._files = files
        self._stack = stack
        self._name = name
        self._upload = upload
        self._writer: UploadWriter | None = None
        self._texts: dict[str, bytearray] = {}
        self._field = ""
        self._is_known = False
        self._has_file = False
        self._size_of_texts = 0

    async def take(self, part: MultipartSegment | bytes) -> None:
        """Take the head of a field, or some of its bytes; of a field that is sent twice, the first."""
        if isinstance(part, MultipartSegment):
            self._field = part.name
            self._has_file = self._has_file or bool(part.name == self._name and part.filename)
            self._is_known = part.name in self._texts
            self._texts.setdefault(part.name, bytearray())
        elif self._field == self._name:
            await self._write(part)
        else:
            self._size_of_texts += len(part)
            if self._size_of_texts > _FIELDS_LIMIT:
                raise FieldError(f"/{self._field}", "This is too long.")
            if not self._is_known:
                self._texts[self._field] += part

    async def end(self) -> None:
        """Have all that came in place."""
        form = self.form
        # Browsers send line breaks as two characters.
        form.fields = {
            name: text.decode("utf-8", "replace").replace("\r\n", "\n")
            for name, text in self._texts.items()
            if name != self._name
        }
        if self._writer is None and self._has_file and form.refusal is None:
            form.refusal = EmptyFileError("Choose another one.")
        if self._writer is not None and form.refusal is None:
            try:
                await self._writer.finish()
            except HubError as error:
                form.refusal = error
            form.size = self._writer.size
        if form.refusal is not None:
            form.file = None

    async def _write(self, piece: bytes) -> None:
        if self.form.refusal is not None or self._is_known:
            return
        try:
            if self._writer is None:
                await self._files.require_room(self._upload.limit)
                self.form.file = await self._stack.enter_async_context(self._files.temporary())
                self._writer = UploadWriter(self.form.file, self._upload)
            await self._writer.add(piece)
        except HubError as error:
            self.form.refusal = error
