"""Build video blocks with options for which `VideoBlock` has no fields: frame lists, fractional rates, pixel bounds.

A subclass would lose its fields when the message is serialized, so they are written into `detail` as a JSON object:

```
video_frames(["a.jpg", "b.jpg"], fps=0.5).detail  == '{"frames":["a.jpg","b.jpg"],"fps":0.5}'
video_frames([Path("a.jpg"), …]).detail           == '{"frames":[{"path":"a.jpg"},…]}'
video("https://example.com/walk.mp4", 0.5).detail == '{"fps":0.5}'
```

The `detail` of an `ImageBlock` may be such an object as well: `'{"max_pixels":1310720}'`.
"""

from __future__ import annotations

import json
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from llama_index.core.base.llms.types import VideoBlock

from qwenvl_core.errors import QwenVLInputError
from qwenvl_core.media.local_files import expand_home
from qwenvl_core.media.sources import HINTS, MediaKind, data_uri, parse_source
from qwenvl_core.types.media import FileSource, InlineSource, UrlSource

_FRAMES_URL = "data:,frames"  # LlamaIndex's token estimates read the URL of a block


def video(
    source: Any,
    fps: float | None = None,
    *,
    min_pixels: int | None = None,
    max_pixels: int | None = None,
    total_pixels: int | None = None,
) -> VideoBlock:
    """Build a block for a video file; it survives a JSON round trip of its message.

    Args:
        source: A URL (`http(s)`, `oss`, `data`, `file`), a path, bytes, or a binary file object.
        fps: Frames to take per second, from 0.1 to 10.
        min_pixels: Smallest area of a frame, in pixels.
        max_pixels: Largest area of a frame, in pixels.
        total_pixels: Largest area of all frames together, in pixels.

    Returns:
        A block for a user message.

    Raises:
        QwenVLInputError: The source has an unsupported type or URL scheme.
        ValueError: The file does not exist.

    Example:
        ```python
        from llama_index.core.llms import ChatMessage, TextBlock

        blocks = [video("https://example.com/walk.mp4", fps=0.5), TextBlock(text="Where does it go?")]
        print(llm.chat([ChatMessage(role="user", blocks=blocks)]).message.content)
        ```
    """
    # `VideoBlock.fps`, which other integrations read, accepts only whole rates.
    is_whole = fps is not None and float(fps).is_integer()
    options = _dump_options(
        fps=None if is_whole else fps, min_pixels=min_pixels, max_pixels=max_pixels, total_pixels=total_pixels
    )
    fields: dict[str, Any] = {"fps": int(fps) if fps is not None and is_whole else None, "detail": options}
    match parse_source(source, location="video()", files=True):
        case UrlSource(url):
            return VideoBlock(url=url, **fields)
        case FileSource(path):
            return VideoBlock(path=expand_home(path), **fields)
        case InlineSource(bytes() as data, mime, None):
            return VideoBlock(video=data, video_mimetype=mime, **fields)
        case _:
            return VideoBlock(url=source, **fields)


def video_frames(
    frames: Iterable[Any],
    fps: float | None = None,
    *,
    min_pixels: int | None = None,
    max_pixels: int | None = None,
    total_pixels: int | None = None,
) -> VideoBlock:
    """Build a block for a video as a list of frames; it survives a JSON round trip of its message.

    Args:
        frames: URLs, paths, bytes, binary file objects or Pillow images, in chronological order.
        fps: Frames of the list per second of the video.
        min_pixels: Smallest area of a frame, in pixels.
        max_pixels: Largest area of a frame, in pixels.
        total_pixels: Largest area of all frames together, in pixels.

    Returns:
        A block for a user message.

    Raises:
        QwenVLInputError: The list is empty, or a frame has an unsupported type.

    Example:
        ```python
        from llama_index.core.llms import ChatMessage, TextBlock

        from qwenvl_core.media import sample_frames

        frames = sample_frames("clip.mp4", fps=2, max_frames=8)
        blocks = [video_frames(frames.data_uris(), fps=frames.fps), TextBlock(text="Where does it go?")]
        print(llm.chat([ChatMessage(role="user", blocks=blocks)]).message.content)
        ```
    """
    if isinstance(frames, str | bytes):
        raise QwenVLInputError("video_frames() takes a list of images. For one video file, use video().")
    encoded = [_encode_frame(frame, f"video_frames()[{index}]") for index, frame in enumerate(frames)]
    if not encoded:
        raise QwenVLInputError("video_frames() needs at least one frame.")
    options = _dump_options(
        frames=encoded, fps=fps, min_pixels=min_pixels, max_pixels=max_pixels, total_pixels=total_pixels
    )
    return VideoBlock(url=_FRAMES_URL, detail=options)


def read_detail_options(detail: str | None, kind: MediaKind, location: str) -> dict[str, Any]:
    """Read the options in a block's `detail`: `frames` and the vendor's hints; empty if it is a plain word.

    Raises:
        QwenVLInputError: The JSON is malformed or has unknown keys.
    """
    if not detail or not detail.lstrip().startswith("{"):
        return {}
    try:
        options = json.loads(detail)
    except ValueError as error:
        raise QwenVLInputError(f"{location}: detail is not a valid JSON object: {error}.") from error
    known = (*HINTS[kind], *(["frames"] if kind == "video" else []))
    if unknown := sorted(options.keys() - set(known)):
        raise QwenVLInputError(f"{location}: unknown keys in detail: {unknown}. Allowed: {', '.join(known)}.")
    return dict(options)


def pop_frames(options: dict[str, Any], location: str) -> list[Any] | None:
    """Remove the frames from a block's options and return them; return `None` for a video file.

    Raises:
        QwenVLInputError: `frames` is not a list.
    """
    frames = options.pop("frames", None)
    if frames is not None and not isinstance(frames, list):
        raise QwenVLInputError(f"{location}: frames in detail must be a list, not {type(frames).__name__}.")
    return frames and [_decode_frame(frame) for frame in frames]


def _dump_options(**values: Any) -> str | None:
    options = {name: value for name, value in values.items() if value is not None}
    return json.dumps(options, separators=(",", ":"), ensure_ascii=False) if options else None


def _decode_frame(frame: Any) -> Any:
    match frame:
        case {"path": str(path)}:
            return Path(path)
        case _:
            return frame


def _encode_frame(frame: Any, location: str) -> str | dict[str, str]:
    """Encode a frame as a URL, a path or a data URI; a `Path` is marked, since a string may not be read from disk."""
    if isinstance(frame, Path):
        return {"path": str(frame)}
    source = parse_source(frame, location=location, files=True)
    match source:
        case UrlSource(url):
            return url
        case FileSource(path):
            return str(path)
        case _ if isinstance(frame, str):
            return frame
    # The length of the URI is checked with the request: the limit depends on the model.
    return b"".join(data_uri(source, "image", location).blocks()).decode()
