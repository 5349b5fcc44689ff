"""Check the parts of messages and their images and videos."""

from __future__ import annotations

import base64
import binascii
import re
import struct
from typing import Any

from tests.emulator.chat_request import ChatRequest
from tests.emulator.error_payloads import ApiError, invalid_parameter
from tests.emulator.rules.rule import ERROR_PAGE, Rule

MAX_DATA_URI = 10_485_760
"""Maximum bytes of one data URI of a video, and of an image for most models."""
MAX_UPLOADED_IMAGE = 20 * 1024 * 1024
"""Maximum bytes of an image in temporary storage; videos are limited by the storage only."""
MIN_FRAMES = 4
_MIN_SIDE = 10
_MAX_RATIO = 200
_MODALITIES = ("image", "video", "audio", "text")
_UNEXPECTED = "The provided messages input is invalid. The error info is [Unexpected item type in content.]"
_NOT_A_PART = "Input should be a valid dictionary or instance of GPT3Message"
_DATA_URI = re.compile(r"data:[\w.+-]+/[\w.+-]+(;[\w=.+-]+)*;base64,[A-Za-z0-9+/=]")


def _check_part_types(request: ChatRequest) -> ApiError | None:
    check = _check_compat_type if request.api == "compat" else _check_native_type
    return next((error for _, _, part in request.parts() if (error := check(part))), None)


def _check_compat_type(part: Any) -> ApiError | None:
    kind = part.get("type") if isinstance(part, dict) else None
    if kind in ("text", "image_url", "video_url", "video"):
        return None
    message = f"Invalid value: {kind}. Supported values are: 'text','image_url','video_url' and 'video'."
    return ApiError(400, "InvalidParameter", "invalid_value", "invalid_request_error", message)


def _check_native_type(part: Any) -> ApiError | None:
    if isinstance(part, dict) and any(key in part for key in _MODALITIES):
        return None
    return invalid_parameter("The item of content should be a message of a certain modal.", from_algorithm=False)


def _check_part_shapes(request: ChatRequest) -> ApiError | None:
    well_formed = _is_compat_part if request.api == "compat" else _is_native_part
    ill_formed = any(not well_formed(part) for _, _, part in request.parts())
    return invalid_parameter(_NOT_A_PART) if ill_formed else None


def _is_compat_part(part: dict[str, Any]) -> bool:
    match part:
        case {"type": "text", "text": str()}:
            return True
        case {"type": "image_url", "image_url": {"url": str()}}:
            return True
        case {"type": "video_url", "video_url": {"url": str()}}:
            return True
        case {"type": "video", "video": [*frames]}:
            return all(isinstance(frame, str) for frame in frames)
    return False


def _is_native_part(part: dict[str, Any]) -> bool:
    values = [part[key] for key in _MODALITIES if key in part]
    match values:
        case [str()]:
            return True
        case [[*frames]] if "video" in part:
            return all(isinstance(frame, str) for frame in frames)
    return False


def _check_media_allowed(request: ChatRequest) -> ApiError | None:
    """Refuse media for a text model, videos for an image model, and media in a tool result."""
    for media in request.media():
        is_refused = request.facts is not None and not (
            request.facts.vision and (request.facts.videos or media.kind == "image")
        )
        if is_refused or media.role == "tool":
            return invalid_parameter(_UNEXPECTED)
    return None


def _check_urls(request: ChatRequest) -> ApiError | None:
    if all(_is_readable(url, request) for media in request.media() for url in media.urls):
        return None
    return invalid_parameter("The provided URL does not appear to be valid. Ensure it is correctly formatted.")


def _is_readable(url: str, request: ChatRequest) -> bool:
    if url.startswith("data:"):
        return _DATA_URI.match(url) is not None
    if url.startswith("oss://"):
        return request.http_request.headers.get("x-dashscope-ossresourceresolve", "").lower() == "enable"
    return re.match(r"https?://[^\s/]+", url) is not None


def _check_uploads(request: ChatRequest) -> ApiError | None:
    """Refuse files that are not in storage any more, or were uploaded by another account or for another model."""
    urls = [url for media in request.media() for url in media.urls if url.startswith("oss://")]
    if all(url in request.uploads and request.uploads[url].model == request.model for url in urls):
        return None
    message = "Unable to download the media resource during the data inspection process."
    return ApiError(400, "InvalidParameter.DataInspection", "invalid_parameter_error", "invalid_request_error", message)


def _check_data_uri_size(request: ChatRequest) -> ApiError | None:
    of_image = request.facts.max_data_uri if request.facts else MAX_DATA_URI
    for media in request.media():
        limit = MAX_DATA_URI if media.kind == "video" else of_image
        if any(len(url) > limit for url in media.urls if url.startswith("data:")):
            message = f"Exceeded limit on max bytes per data-uri item : {limit}"
            return ApiError(400, "BadRequest.TooLarge", "BadRequest.TooLarge", "invalid_request_error", message)
    return None


def _check_counts(request: ChatRequest) -> ApiError | None:
    """Check the numbers of images and videos; the vendor's page states the numbers, not the message."""
    if request.facts is None:
        return None
    images = [url for media in request.media() if media.kind == "image" for url in media.urls]
    inline = sum(url.startswith("data:") for url in images)
    counts = (
        ("images by URL", len(images) - inline, request.facts.max_images_by_url),
        ("images in base64", inline, request.facts.max_images_inline),
        ("videos", sum(media.kind != "image" for media in request.media()), request.facts.max_videos),
    )
    for kind, count, limit in counts:
        if limit is not None and count > limit:
            return invalid_parameter(f"The number of {kind} exceeds the limit of {limit}.")
    return None


def _check_upload_size(request: ChatRequest) -> ApiError | None:
    images = (url for media in request.media() if media.kind != "video" for url in media.urls)
    if all(len(request.uploads[url].content) <= MAX_UPLOADED_IMAGE for url in images if url in request.uploads):
        return None
    return invalid_parameter("Multimodal file size is too large")


def _check_frame_count(request: ChatRequest) -> ApiError | None:
    maximum = request.facts.max_frames if request.facts else None
    for media in request.media():
        if media.kind == "frames" and maximum and not MIN_FRAMES <= len(media.urls) <= maximum:
            return invalid_parameter(
                "The video modality input does not meet the requirements because: "
                f"the range of sequence images shoule be ({MIN_FRAMES}, {maximum})."
            )
    return None


def _check_image_size(request: ChatRequest) -> ApiError | None:
    for media in request.media():
        for url in media.urls if media.kind in ("image", "frames") else ():
            size = _read_image_size(url) if url.startswith("data:") else None
            reason = _describe_bad_size(*size) if size else None
            if reason:
                return invalid_parameter(f"The image length and width do not meet the model restrictions. [{reason}]")
    return None


def _describe_bad_size(width: int, height: int) -> str | None:
    if min(width, height) < _MIN_SIDE:
        return f"height:{height} or width:{width} must be larger than {_MIN_SIDE}"
    ratio = max(width, height) / min(width, height)
    if ratio > _MAX_RATIO:
        return f"absolute aspect ratio must be smaller than {_MAX_RATIO}, got {ratio}"
    return None


def _read_image_size(data_uri: str) -> tuple[int, int] | None:
    """Return (width, height) of a PNG or JPEG; None for other or too few bytes."""
    try:
        data = base64.b64decode(data_uri.partition(",")[2], validate=True)
    except binascii.Error:
        return None
    if data.startswith(b"\x89PNG\r\n\x1a\n") and len(data) >= 24:
        return struct.unpack(">II", data[16:24])
    return _read_jpeg_size(data) if data.startswith(b"\xff\xd8") else None


def _read_jpeg_size(data: bytes) -> tuple[int, int] | None:
    position = 2
    while position + 9 <= len(data) and data[position] == 0xFF:
        marker = data[position + 1]
        if 0xC0 <= marker <= 0xCF and marker not in (0xC4, 0xC8, 0xCC):
            height, width = struct.unpack(">HH", data[position + 5 : position + 9])
            return width, height
        position += 2 + struct.unpack(">H", data[position + 2 : position + 4])[0]
    return None


MEDIA_RULES: tuple[Rule, ...] = (
    Rule("parts have a known type", ERROR_PAGE + " (native); issue reports (compatible)", _check_part_types),
    Rule("parts are well-formed", "vendor's API reference; the message by analogy", _check_part_shapes),
    Rule(
        "media only in allowed messages", "can1357/oh-my-pi#1861; in tool messages not documented", _check_media_allowed
    ),
    Rule("URLs can be read", ERROR_PAGE, _check_urls),
    Rule("uploads exist for the account and the model", "vendor, page on temporary URLs", _check_uploads),
    Rule("data URIs are not too large", ERROR_PAGE, _check_data_uri_size),
    Rule("numbers of images and videos", "vendor, image understanding page; the message by analogy", _check_counts),
    Rule("uploaded images are not too large", ERROR_PAGE, _check_upload_size),
    Rule("frame lists", "vendor, image understanding page", _check_frame_count),
    Rule("images are not too small", ERROR_PAGE, _check_image_size),
)
