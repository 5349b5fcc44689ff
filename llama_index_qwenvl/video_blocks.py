"""Videos that LlamaIndex's `VideoBlock` has no fields for: frame lists, fractional rates, pixel bounds.

A subclass would lose its fields when its message is stored, so what a `VideoBlock` can't hold is written into its
`detail`, as a JSON object:

```
video_frames(["a.jpg", "b.jpg"], fps=0.5).detail  == '{"frames":["a.jpg","b.jpg"],"fps":0.5}'
video_frames([Path("a.jpg"), …]).detail           == '{"frames":[{"path":"a.jpg"},…]}'
video("https://example.com/walk.mp4", 0.5).detail == '{"fps":0.5}'
```

Of an `ImageBlock`, too, `detail` may be such an object: `'{"max_pixels":1310720}'`.
"""

from __future__ import annotations

import json
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from llama_index.core.base.llms.types import VideoBlock

from qwenvl_core.errors import QwenVLInputError
from qwenvl_core.media.sources import HINTS, MediaKind, parse_source, to_url_or_data_uri
from qwenvl_core.types.media import FileSource, InlineSource, UrlSource

_FRAMES_URL = "data:,frames"  # so that LlamaIndex's token estimates find something to look at


def video(
    source: Any,
    fps: float | None = None,
    *,
    min_pixels: int | None = None,
    max_pixels: int | None = None,
    total_pixels: int | None = None,
) -> VideoBlock:
    """A video file, as a block that survives storing its message.

    Args:
        source: A URL (`http(s)`, `oss`, `data`, `file`), a path, bytes, or a binary file object.
        fps: Frames to take per second, from 0.1 to 10.
        min_pixels: Smallest area of a frame, in pixels.
        max_pixels: Largest area of a frame, in pixels.
        total_pixels: Largest area of all frames together, in pixels.

    Raises:
        QwenVLInputError: Nothing a video can be made of.
        ValueError: There is no such file.
    """
    # A whole rate has a field of its own, which other integrations read too.
    whole = fps is not None and float(fps).is_integer()
    options = _options(
        fps=None if whole else fps, min_pixels=min_pixels, max_pixels=max_pixels, total_pixels=total_pixels
    )
    fields: dict[str, Any] = {"fps": int(fps) if fps is not None and whole else None, "detail": options}
    match parse_source(source, location="video()", files=True):
        case UrlSource(url):
            return VideoBlock(url=url, **fields)
        case FileSource(path):
            return VideoBlock(path=path, **fields)
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
    """A video as a list of images, as a block that survives storing its message.

    Args:
        frames: URLs, paths, bytes, binary file objects or Pillow images, in the order of time.
        fps: How many of them there are per second of the video.
        min_pixels: Smallest area of a frame, in pixels.
        max_pixels: Largest area of a frame, in pixels.
        total_pixels: Largest area of all frames together, in pixels.

    Raises:
        QwenVLInputError: There are no frames, or one is nothing an image can be made of.
    """
    if isinstance(frames, str | bytes):
        raise QwenVLInputError("video_frames() takes a list of images; for one video file there is video().")
    told = [_told(frame, f"video_frames()[{at}]") for at, frame in enumerate(frames)]
    if not told:
        raise QwenVLInputError("video_frames() needs at least one frame.")
    options = _options(frames=told, fps=fps, min_pixels=min_pixels, max_pixels=max_pixels, total_pixels=total_pixels)
    return VideoBlock(url=_FRAMES_URL, detail=options)


def options_in(detail: str | None, kind: MediaKind, location: str) -> dict[str, Any]:
    """The options in a block's `detail`: `frames` and the vendor's hints; none, where it is a mere word.

    Raises:
        QwenVLInputError: A JSON object with something else in it.
    """
    if not detail or not detail.lstrip().startswith("{"):
        return {}
    try:
        options = json.loads(detail)
    except ValueError as error:
        raise QwenVLInputError(f"{location}: its detail is no JSON object: {error}.") from error
    known = (*HINTS[kind], *(["frames"] if kind == "video" else []))
    if unknown := sorted(options.keys() - set(known)):
        raise QwenVLInputError(f"{location}: its detail holds {unknown}; known are {', '.join(known)}.")
    return dict(options)


def frames_in(options: dict[str, Any], location: str) -> list[Any] | None:
    """Take the frames out of a block's options; `None`, where there are none, since it is a video file.

    Raises:
        QwenVLInputError: They are no list.
    """
    told = options.pop("frames", None)
    if told is not None and not isinstance(told, list):
        raise QwenVLInputError(f"{location}: the frames in its detail are no list.")
    return told and [_frame(one) for one in told]


def _options(**values: Any) -> str | None:
    given = {name: value for name, value in values.items() if value is not None}
    return json.dumps(given, separators=(",", ":"), ensure_ascii=False) if given else None


def _frame(told: Any) -> Any:
    match told:
        case {"path": str(path)}:
            return Path(path)
        case _:
            return told


def _told(frame: Any, location: str) -> str | dict[str, str]:
    """A frame as a URL, a path or a data URI. Of a `Path` it is told that it is one: code made it, and no model."""
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
    uri = to_url_or_data_uri(source, "image", location)
    return uri if isinstance(uri, str) else b"".join(uri.blocks()).decode()
