"""Upload the local media of a prepared request, and upload them again when the service has lost them."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from typing import Any, Self

from qwenvl_core.errors import QwenVLError
from qwenvl_core.media.uploads import UploadPlan, find_uploaded_media, may_need_upload, plan_uploads
from qwenvl_core.request.file_parts import has_files
from qwenvl_core.transport.uploader import Uploader
from qwenvl_core.types.request import PreparedRequest
from qwenvl_core.wire.upload_policy import is_url_rejected


@dataclass(frozen=True, slots=True)
class UploadedRequest:
    """A request whose uploads are done.

    Attributes:
        prepared: The request to encode, with the URLs of the uploads.
        source: The request before the uploads.
        plan: The uploads.
        urls: Their URLs.
        is_renewed: Whether the media were uploaded once more within the call.
    """

    prepared: PreparedRequest
    source: PreparedRequest
    plan: UploadPlan = field(default_factory=UploadPlan)
    urls: tuple[str, ...] = ()
    is_renewed: bool = False

    @classmethod
    def build(cls, source: PreparedRequest, plan: UploadPlan, urls: list[str], *, is_renewed: bool = False) -> Self:
        """Build the request with the URLs of its uploads."""
        return cls(plan.replace_sources(source, urls), source, plan, tuple(urls), is_renewed)

    def continue_with(self, following: PreparedRequest) -> Self:
        """Return the request that continues this one's conversation, with the same uploads."""
        added = following.messages[len(self.source.messages) :]
        source = replace(following, messages=(*self.source.messages, *added))
        return replace(self, prepared=following, source=source)

    def should_renew(self, error: QwenVLError) -> bool:
        """Return whether to upload the media once more: the service can't read a URL, perhaps one of an upload."""
        return bool(self.urls) and not self.is_renewed and is_url_rejected(error)


class MediaUploads:
    """Uploads the local media of requests that are not sent inline.

    Args:
        uploader: The uploader of the connection.
        encode: Encodes a prepared request. Encoding is what checks all media that are sent inline, so a request is
            encoded before its first upload: nothing is uploaded for a request that can't be sent.
    """

    def __init__(self, uploader: Uploader, encode: Callable[[PreparedRequest], Any]) -> None:
        self.uploader = uploader
        self._encode = encode

    def upload(self, prepared: PreparedRequest, transport: Any) -> UploadedRequest:
        """Upload the media of a request.

        Raises:
            QwenVLError: A medium is invalid or can't be uploaded.
        """
        if not may_need_upload(prepared):
            return UploadedRequest(prepared, prepared)
        plan = self._plan(prepared)
        urls = self.uploader.upload_all(transport, plan.uploads, prepared.settings.model)
        return UploadedRequest.build(prepared, plan, urls)

    async def aupload(self, prepared: PreparedRequest, transport: Any) -> UploadedRequest:
        """Upload the media of a request asynchronously; they are read off the event loop. See `upload`."""
        if not await _amay_need_upload(prepared):
            return UploadedRequest(prepared, prepared)
        plan = await asyncio.to_thread(self._plan, prepared)
        urls = await self.uploader.aupload_all(transport, plan.uploads, prepared.settings.model)
        return UploadedRequest.build(prepared, plan, urls)

    def renew(self, request: UploadedRequest, transport: Any) -> UploadedRequest:
        """Upload the media of a request once more; see `UploadedRequest.should_renew`."""
        plan, model = request.plan, request.source.settings.model
        self.uploader.discard(plan.uploads, request.urls, model)
        urls = self.uploader.upload_all(transport, plan.uploads, model)
        return UploadedRequest.build(request.source, plan, urls, is_renewed=True)

    async def arenew(self, request: UploadedRequest, transport: Any) -> UploadedRequest:
        """Upload the media of a request once more asynchronously; see `renew`."""
        plan, model = request.plan, request.source.settings.model
        await asyncio.to_thread(self.uploader.discard, plan.uploads, request.urls, model)
        urls = await self.uploader.aupload_all(transport, plan.uploads, model)
        return UploadedRequest.build(request.source, plan, urls, is_renewed=True)

    def check(self, prepared: PreparedRequest) -> None:
        """Check the media of a request without uploading them.

        Raises:
            QwenVLInputError: A medium is invalid or can't be sent.
        """
        plan = UploadPlan(slots=dict.fromkeys((slot for slot, *_ in find_uploaded_media(prepared)), 0))
        self._encode(plan.replace_sources(prepared, [""]))

    def _plan(self, prepared: PreparedRequest) -> UploadPlan:
        plan = plan_uploads(prepared)
        self._encode(plan.replace_sources(prepared, [""] * len(plan.uploads)))
        return plan


async def _amay_need_upload(prepared: PreparedRequest) -> bool:
    if has_files(prepared.messages):
        return await asyncio.to_thread(may_need_upload, prepared)
    return may_need_upload(prepared)
