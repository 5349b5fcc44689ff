"""Decode frames of a local video to JPEG, with PyAV, which is imported when the first video is opened.

Frames are shown as a player shows them: rotated or mirrored as the file states, in the aspect that their pixels have. A
frame is chosen by its time, so that a variable frame rate makes no difference. Packets that can't be decoded are
skipped, and a file that ends early has the duration of what can be read. Memory holds one decoded frame besides those
that the codec refers to.
"""

from __future__ import annotations

import io
import struct
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from fractions import Fraction
from typing import Any, cast

from qwenvl_core.errors import QwenVLInputError
from qwenvl_core.media.inspection import read_bytes
from qwenvl_core.media.local_files import open_file
from qwenvl_core.types.media import FileSource, InlineSource

_OPTIONS = {
    # A file must not make the library open other files or URLs, as playlists do.
    "protocol_whitelist": "none",
    "format_whitelist": "mov,matroska,avi,flv,asf,mpegts,mpeg,mpegvideo,ogg,h264,hevc,ivf,dv,mxf,rm",
}
_JPEG_QUALITY = 3  # of 2 (best) to 31
_JPEG_FORMAT = "yuvj420p"
_TIME_BASE = Fraction(1, 1000)
_MAX_ASPECT = 100  # of a pixel; a larger one is an error of the file

Size = tuple[int, int]
Encode = Callable[[Size], bytes]
"""Encode a frame as JPEG of a width and height in pixels."""


@dataclass(frozen=True, slots=True)
class VideoMeasures:
    """What is measured of a video that can be decoded.

    Attributes:
        seconds: Duration of the part of the file that can be read.
        width: Width in pixels as shown.
        height: Height in pixels as shown.
    """

    seconds: float
    width: int
    height: int


def measure_video(source: FileSource | InlineSource, location: str) -> VideoMeasures:
    """Measure a video; all of the file is read, one frame is decoded.

    Raises:
        QwenVLInputError: The video can't be read or has no frame that can be decoded, or PyAV is missing.
    """
    with _open(source, location) as (container, stream):
        frame = next(iter(_decode(container, stream)), None)
        if frame is None:
            raise QwenVLInputError(f"{location}: this video has no frame that can be decoded.")
        width, height = _compute_shown_size(frame, stream)
    with _open(source, location) as (container, stream):
        return VideoMeasures(_measure_seconds(container, stream), width, height)


def iterate_frames(
    source: FileSource | InlineSource, times: Sequence[float], location: str
) -> Iterator[tuple[int, Encode]]:
    """Yield, for each time, its index and a function that encodes the frame that is shown then.

    Times at which the file can't be decoded any more are left out at the end.

    Args:
        source: The video.
        times: Seconds from the first frame, in ascending order.
        location: Where the video is in the caller's input, for errors.

    Raises:
        QwenVLInputError: As `measure_video`.
    """
    with _open(source, location) as (container, stream):
        frame_seconds = float(1 / stream.average_rate) if stream.average_rate else 0.0
        start, current, index = 0.0, None, 0
        for frame in _decode(container, stream):
            time = frame.time if frame.time is not None else start + frame_seconds
            if current is None:
                start = time
            else:
                while index < len(times) and times[index] < time - start - 1e-6:
                    yield index, _create_encoder(current, stream)
                    index += 1
            if index == len(times):
                return
            current, end = frame, time - start + _get_seconds(frame, frame_seconds)
        while current is not None and index < len(times) and times[index] < end + 1e-6:
            yield index, _create_encoder(current, stream)
            index += 1


@contextmanager
def _open(source: FileSource | InlineSource, location: str) -> Iterator[tuple[Any, Any]]:
    """Open a video and yield its container and its video stream."""
    av = _import_av(location)
    try:
        # As a file object: the library would read a name such as "concat:…" as a command.
        with (
            open_file(source.path) if isinstance(source, FileSource) else io.BytesIO(read_bytes(source)) as file,
            av.open(file, options=_OPTIONS, **_get_metadata_options(av)) as container,
        ):
            stream = next(iter(container.streams.video), None)
            if stream is None:
                raise QwenVLInputError(f"{location}: this file has no video track.")
            yield container, stream
    except (OSError, ValueError, av.FFmpegError) as error:
        if isinstance(error, QwenVLInputError):
            raise
        reason = getattr(error, "strerror", None) or str(error)
        raise QwenVLInputError(f"{location}: this video can't be decoded: {reason}.") from error


def _get_metadata_options(av: Any) -> dict[str, str]:
    """Return the option for metadata that is not UTF-8, which PyAV 19 always decodes, and without the option."""
    return {"metadata_errors": "replace"} if int(av.__version__.partition(".")[0]) < 19 else {}


def _import_av(location: str) -> Any:
    try:
        import av
    except ImportError as error:
        raise QwenVLInputError(
            f'{location}: frames of a video need PyAV: pip install "qwenvl-adapters[video]"'
        ) from error
    return av


def _demux(container: Any, stream: Any) -> Iterator[Any]:
    """Yield the packets of a stream up to the first one that can't be read."""
    import av

    packets = container.demux(stream)
    while True:
        try:
            packet = next(packets)
        except (StopIteration, av.FFmpegError):
            return
        yield packet


def _decode(container: Any, stream: Any) -> Iterator[Any]:
    """Yield the frames of a stream, without those that can't be decoded."""
    import av

    for packet in _demux(container, stream):
        try:
            frames = packet.decode()
        except av.FFmpegError:
            continue
        yield from (frame for frame in frames if not frame.is_corrupt)


def _measure_seconds(container: Any, stream: Any) -> float:
    """Measure the duration by the times of all packets: headers state that of the whole file, or none."""
    frame_seconds = float(1 / stream.average_rate) if stream.average_rate else 0.0
    start, end, count = None, 0.0, 0
    for packet in _demux(container, stream):
        ticks = packet.pts if packet.pts is not None else packet.dts
        if ticks is None or packet.is_corrupt:
            continue
        time = float(ticks * packet.time_base)
        start = time if start is None else min(start, time)
        length = float(packet.duration * packet.time_base) if packet.duration else frame_seconds
        end, count = max(end, time + length), count + 1
    return max(end - (start or 0.0), frame_seconds)


def _get_seconds(frame: Any, default: float) -> float:
    """Return how long a frame is shown."""
    return float(frame.duration * frame.time_base) if frame.duration and frame.time_base else default


def _compute_shown_size(frame: Any, stream: Any) -> Size:
    """Compute width and height as shown: with square pixels, upright."""
    aspect = stream.sample_aspect_ratio or 1
    if not 1 / _MAX_ASPECT <= aspect <= _MAX_ASPECT:
        aspect = 1
    width, height = max(1, round(frame.width * aspect)), frame.height
    return (height, width) if _is_sideways(_read_matrix(frame)) else (width, height)


def _read_matrix(frame: Any) -> tuple[int, ...]:
    """Read the four signed numbers of the display matrix that state rotation and mirroring (ISO/IEC 14496-12)."""
    from av.sidedata.sidedata import Type

    data = frame.side_data.get(Type.DISPLAYMATRIX)
    if data is None:
        return (1, 0, 0, 1)
    numbers = struct.unpack("=9i", bytes(data)[:36])
    return numbers[0], numbers[1], numbers[3], numbers[4]


def _is_sideways(matrix: tuple[int, ...]) -> bool:
    return abs(matrix[1]) + abs(matrix[2]) > abs(matrix[0]) + abs(matrix[3])


def _list_filters(matrix: tuple[int, ...]) -> list[tuple[str, str]]:
    """Return the filters that turn a frame upright, as FFmpeg's own program chooses them."""
    if not _is_sideways(matrix):
        return [(name, "") for name, is_used in (("hflip", matrix[0] < 0), ("vflip", matrix[3] < 0)) if is_used]
    if matrix[1] > 0:
        return [("transpose", "cclock_flip" if matrix[2] > 0 else "clock")]
    return [("transpose", "clock_flip" if matrix[2] < 0 else "cclock")]


def _create_encoder(frame: Any, stream: Any) -> Encode:
    """Return the function that encodes a frame as it is shown."""
    cache: dict[Size, bytes] = {}  # a frame may be shown at several times

    def encode(size: Size) -> bytes:
        if size not in cache:
            cache[size] = _encode(frame, size)
        return cache[size]

    return encode


def _encode(frame: Any, size: Size) -> bytes:
    matrix = _read_matrix(frame)
    width, height = size[::-1] if _is_sideways(matrix) else size
    scaled = frame.reformat(width=width, height=height, format=_JPEG_FORMAT, interpolation="BICUBIC")
    return _encode_jpeg(_turn_upright(scaled, matrix), size)


def _turn_upright(frame: Any, matrix: tuple[int, ...]) -> Any:
    filters = _list_filters(matrix)
    if not filters:
        return frame
    import av

    graph = cast("Any", av.filter.Graph())
    node = graph.add_buffer(width=frame.width, height=frame.height, format=_JPEG_FORMAT, time_base=_TIME_BASE)
    for name, argument in filters:
        following = graph.add(name, argument or None)
        node.link_to(following)
        node = following
    sink = graph.add("buffersink")
    node.link_to(sink)
    graph.configure()
    frame.pts, frame.time_base = 0, _TIME_BASE
    graph.push(frame)
    return graph.pull()


def _encode_jpeg(frame: Any, size: Size) -> bytes:
    import av

    codec = cast("Any", av.CodecContext.create("mjpeg", "w"))
    codec.width, codec.height, codec.pix_fmt, codec.time_base = *size, _JPEG_FORMAT, _TIME_BASE
    codec.qmin = codec.qmax = _JPEG_QUALITY
    frame.pts, frame.time_base = 0, _TIME_BASE
    return b"".join(bytes(packet) for packet in (*codec.encode(frame), *codec.encode(None)))
