"""Rules about the parts of a message and about the images and videos in them."""

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
"""Bytes of one data URI."""
MAX_UPLOADED_IMAGE = 10 * 1024 * 1024
"""Bytes of an image in temporary storage; what a video may have, the storage itself limits."""
MIN_FRAMES = 4
_MIN_SIDE = 10
_MAX_RATIO = 200
_MODALITIES = ("image", "video", "audio", "text")
_UNEXPECTED = "The provided messages input is invalid. The error info is [Unexpected item type in content.]"
_NOT_A_PART = "Input should be a valid dictionary or instance of GPT3Message"
_DATA_URI = re.compile(r"data:[\w.+-]+/[\w.+-]+(;[\w=.+-]+)*;base64,[A-Za-z0-9+/=]")


def _part_types(ask: ChatRequest) -> ApiError | None:
    check = _compat_type if ask.api == "compat" else _native_type
    return next((problem for _, _, part in ask.parts() if (problem := check(part))), None)


def _compat_type(part: Any) -> ApiError | None:
    kind = part.get("type") if isinstance(part, dict) else None
    if kind in ("text", "image_url", "video_url", "video"):
        return None
    message = f"Invalid value: {kind}. Supported values are: 'text','image_url','video_url' and 'video'."
    return ApiError(400, "InvalidParameter", "invalid_value", "invalid_request_error", message)


def _native_type(part: Any) -> ApiError | None:
    if isinstance(part, dict) and any(key in part for key in _MODALITIES):
        return None
    return invalid_parameter("The item of content should be a message of a certain modal.", from_algorithm=False)


def _part_shapes(ask: ChatRequest) -> ApiError | None:
    well_formed = _compat_shape if ask.api == "compat" else _native_shape
    ill_formed = any(not well_formed(part) for _, _, part in ask.parts())
    return invalid_parameter(_NOT_A_PART) if ill_formed else None


def _compat_shape(part: dict[str, Any]) -> bool:
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


def _native_shape(part: dict[str, Any]) -> bool:
    given = [part[key] for key in _MODALITIES if key in part]
    match given:
        case [str()]:
            return True
        case [[*frames]] if "video" in part:
            return all(isinstance(frame, str) for frame in frames)
    return False


def _media_belongs(ask: ChatRequest) -> ApiError | None:
    """Media for a model that reads text only, or in the result of a tool."""
    text_model = ask.facts is not None and not ask.facts.vision
    if any(text_model or media.role == "tool" for media in ask.media()):
        return invalid_parameter(_UNEXPECTED)
    return None


def _urls(ask: ChatRequest) -> ApiError | None:
    if all(_readable(url, ask) for media in ask.media() for url in media.urls):
        return None
    return invalid_parameter("The provided URL does not appear to be valid. Ensure it is correctly formatted.")


def _readable(url: str, ask: ChatRequest) -> bool:
    if url.startswith("data:"):
        return _DATA_URI.match(url) is not None
    if url.startswith("oss://"):
        resolves = ask.request.headers.get("x-dashscope-ossresourceresolve", "").lower() == "enable"
        return resolves and url in ask.uploads
    return re.match(r"https?://[^\s/]+", url) is not None


def _data_uri_size(ask: ChatRequest) -> ApiError | None:
    if all(len(url) <= MAX_DATA_URI for media in ask.media() for url in media.urls if url.startswith("data:")):
        return None
    message = f"Exceeded limit on max bytes per data-uri item : {MAX_DATA_URI}"
    return ApiError(400, "BadRequest.TooLarge", "BadRequest.TooLarge", "invalid_request_error", message)


def _upload_size(ask: ChatRequest) -> ApiError | None:
    images = (url for media in ask.media() if media.kind != "video" for url in media.urls)
    if all(ask.uploads.get(url, 0) <= MAX_UPLOADED_IMAGE for url in images):
        return None
    return invalid_parameter("Multimodal file size is too large")


def _frame_count(ask: ChatRequest) -> ApiError | None:
    most = ask.facts.max_frames if ask.facts else None
    for media in ask.media():
        if media.kind == "frames" and most and not MIN_FRAMES <= len(media.urls) <= most:
            return invalid_parameter(
                "The video modality input does not meet the requirements because: "
                f"the range of sequence images shoule be ({MIN_FRAMES}, {most})."
            )
    return None


def _image_size(ask: ChatRequest) -> ApiError | None:
    for media in ask.media():
        for url in media.urls if media.kind in ("image", "frames") else ():
            size = _pixels(url) if url.startswith("data:") else None
            reason = _bad_size(*size) if size else None
            if reason:
                return invalid_parameter(f"The image length and width do not meet the model restrictions. [{reason}]")
    return None


def _bad_size(width: int, height: int) -> str | None:
    if min(width, height) < _MIN_SIDE:
        return f"height:{height} or width:{width} must be larger than {_MIN_SIDE}"
    ratio = max(width, height) / min(width, height)
    if ratio > _MAX_RATIO:
        return f"absolute aspect ratio must be smaller than {_MAX_RATIO}, got {ratio}"
    return None


def _pixels(data_uri: str) -> tuple[int, int] | None:
    """(width, height) of a PNG or JPEG; None if the bytes are something else or too few."""
    try:
        data = base64.b64decode(data_uri.partition(",")[2], validate=True)
    except binascii.Error:
        return None
    if data.startswith(b"\x89PNG\r\n\x1a\n") and len(data) >= 24:
        return struct.unpack(">II", data[16:24])
    return _jpeg_pixels(data) if data.startswith(b"\xff\xd8") else None


def _jpeg_pixels(data: bytes) -> tuple[int, int] | None:
    position = 2
    while position + 9 <= len(data) and data[position] == 0xFF:
        marker = data[position + 1]
        if 0xC0 <= marker <= 0xCF and marker not in (0xC4, 0xC8, 0xCC):
            height, width = struct.unpack(">HH", data[position + 5 : position + 9])
            return width, height
        position += 2 + struct.unpack(">H", data[position + 2 : position + 4])[0]
    return None


MEDIA_RULES: tuple[Rule, ...] = (
    Rule("parts have a known type", ERROR_PAGE + " (native); issue reports (compatible)", _part_types),
    Rule("parts are well-formed", "vendor's API reference; the message by analogy", _part_shapes),
    Rule("media where media may be", "can1357/oh-my-pi#1861; in tool messages not documented", _media_belongs),
    Rule("URLs can be read", ERROR_PAGE, _urls),
    Rule("data URIs are not too large", ERROR_PAGE, _data_uri_size),
    Rule("uploaded images are not too large", ERROR_PAGE, _upload_size),
    Rule("frame lists", "vendor, image understanding page", _frame_count),
    Rule("images are not too small", ERROR_PAGE, _image_size),
)
