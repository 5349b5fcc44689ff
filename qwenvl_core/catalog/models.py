"""The model catalog: capabilities and limits of each Qwen-VL model, as rows of data.

A name is matched without its case, an `org/` prefix and a trailing `-us`: first against the exact names, then against
the prefixes. A prefix ends at a `-`, so dated snapshots and fine-tunes get the row of their base model. No server is
queried, and no name is an error: a name without a row gets one with `known=False`.

Where the vendor's pages disagree, "Visual understanding (Qwen-VL)" of 2025-12-18 takes precedence. The later page
"Image and video understanding" is used only for models that the former does not list (Qwen3.5 and newer).
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from functools import lru_cache
from typing import Literal, NamedTuple

__all__ = ["CATALOGUE", "ModelFacts", "describe"]

Thinking = Literal["hybrid", "always", "never", "unknown"]
Coordinates = Literal["relative", "absolute"]

_MB = 1024**2
_GB = 1024**3
_MINUTE = 60.0
_HOUR = 3600.0

_VISION = "Alibaba Cloud Model Studio, Visual understanding (Qwen-VL), 2025-12-18"
_REASONING = "Alibaba Cloud Model Studio, Visual reasoning"
_NEWER = "Alibaba Cloud Model Studio, Image and video understanding, 2026"
_MODELS_DEV = "models.dev, 2026-09"


@dataclass(frozen=True, slots=True, kw_only=True)
class ModelFacts:
    """Capabilities and limits of one model.

    A limit of `None` is stated by no source and is not checked. In a row with `known=False` all capabilities are true,
    so that nothing is refused for a model without data.

    Attributes:
        name: Base name of the row, without date and region.
        known: Whether a row of the catalog matched. If not, only what the caller set is sent.
        thinking: `hybrid` models accept `enable_thinking`; `always` and `never` models reject the parameter.
        server_thinking_default: Whether the service lets the model think when `enable_thinking` is absent.
        stream_only: Whether the service accepts streamed requests only.
        tools: Whether function calling is supported.
        json_object: Whether the JSON mode of `response_format` is supported (hybrid models: while not thinking).
        json_schema: Whether `response_format` with a JSON schema is supported, under the same condition.
        preserve_thinking: Whether the model uses earlier reasoning when `preserve_thinking` is sent.
        images: Whether images are accepted.
        videos: Whether videos are accepted, as a file or as a list of frames.
        context_window: Largest input and output together, in tokens.
        max_input: Largest input in tokens while not thinking.
        max_input_thinking: Largest input in tokens while thinking.
        max_output: Largest answer in tokens.
        max_thinking_budget: Largest `thinking_budget` in tokens.
        token_factor: Side, in pixels, of the square that one image token covers.
        video_factor: The same for video frames.
        default_image_tokens: Cap per image, in tokens, unless `max_pixels` raises it.
        max_image_tokens: Cap per image, in tokens, that `max_pixels` can't raise.
        frames_min: Smallest number of frames of a video.
        max_frames: Largest number of frames of a video, sampled by the service or sent as a list.
        video_frame_tokens: Cap per frame, in squares of 32 x 32 pixels (all models).
        video_total_tokens: Cap per video, in the same squares; a pair of frames counts once.
        video_max_bytes: Largest video file sent by URL, in bytes.
        video_seconds: Shortest and longest duration of a video file, in seconds.
        coordinates: Space of the boxes in answers: `relative` is thousandths of the image, `absolute` is pixels of the
            resized image; `None` if no source states it.
        source: The pages that state the row's values.
    """

    name: str
    known: bool = True
    thinking: Thinking = "never"
    server_thinking_default: bool | None = False
    stream_only: bool = False
    tools: bool = False
    json_object: bool = False
    json_schema: bool = False
    preserve_thinking: bool = False
    images: bool = True
    videos: bool = True
    context_window: int | None = None
    max_input: int | None = None
    max_input_thinking: int | None = None
    max_output: int | None = None
    max_thinking_budget: int | None = None
    token_factor: int = 28
    video_factor: int = 28
    default_image_tokens: int = 1280
    max_image_tokens: int = 16384
    frames_min: int | None = 4
    max_frames: int | None = 80
    video_frame_tokens: int = 768
    video_total_tokens: int = 65536
    video_max_bytes: int | None = 150 * _MB
    video_seconds: tuple[float, float] | None = (2.0, 40.0)
    coordinates: Coordinates | None = None
    source: str = _VISION


class _Row(NamedTuple):
    """The facts for names with a prefix and, if `part` is set, with that part between hyphens after it."""

    prefix: str
    facts: ModelFacts
    part: str = ""


# --- Qwen3-VL: 32 x 32 pixels a token, relative coordinates. For lists of frames the page names the plus and flash
# --- series only, so the open-source sizes count as "other models" (the 2026 page allows them 512).
_QWEN3_VL = ModelFacts(
    name="qwen3-vl",
    token_factor=32,
    video_factor=32,
    default_image_tokens=2560,
    max_frames=80,
    video_max_bytes=2 * _GB,
    video_seconds=(2.0, 20 * _MINUTE),
    coordinates="relative",
    tools=True,
)
_QWEN3_VL_FLASH = replace(
    _QWEN3_VL,
    name="qwen3-vl-flash",
    thinking="hybrid",
    json_object=True,  # while not thinking; the vendor does not list Qwen3-VL for JSON schemas
    context_window=262_144,
    max_input=260_096,
    max_input_thinking=258_048,
    max_output=32_768,
    max_thinking_budget=81_920,
    max_frames=512,
    source=f"{_VISION}; {_REASONING}; context: {_MODELS_DEV}",
)
_QWEN3_VL_PLUS = replace(
    _QWEN3_VL_FLASH,
    name="qwen3-vl-plus",
    max_frames=2000,
    video_frame_tokens=640,
    video_total_tokens=131_072,
    video_seconds=(2.0, _HOUR),
)
_QWEN3_VL_INSTRUCT = replace(
    _QWEN3_VL,
    name="",  # filled in on a match, with the size
    json_object=True,
    context_window=131_072,
    max_output=32_768,
    source=f"{_VISION}; context: {_MODELS_DEV}",
)
_QWEN3_VL_THINKING = replace(
    _QWEN3_VL_INSTRUCT,
    thinking="always",
    server_thinking_default=True,
    json_object=False,  # "supported in non-thinking mode"
    source=f"{_VISION}; {_REASONING}; context: {_MODELS_DEV}",
)

# --- Qwen2.5-VL: 512 frames. The page counts qwen-vl-max, qwen-vl-plus and QVQ among it.
_QWEN25_VL = ModelFacts(
    name="",
    context_window=131_072,
    max_output=8_192,
    max_frames=512,
    video_max_bytes=_GB,
    video_seconds=(2.0, 10 * _MINUTE),
    coordinates="absolute",
    source=f"{_VISION}; context: {_MODELS_DEV}",
)
_QVQ = replace(
    _QWEN25_VL,
    name="",
    thinking="always",
    server_thinking_default=True,
    stream_only=True,
    coordinates=None,  # no source states it
    source=f"{_VISION}; {_REASONING}; context: {_MODELS_DEV}",
)
_QWEN_VL_PLUS_OLD = replace(_QWEN25_VL, name="qwen-vl-plus", coordinates=None)
_QWEN_VL_PLUS_0710 = replace(_QWEN_VL_PLUS_OLD, video_factor=32)  # named in the video sample only
_QWEN_VL_PLUS_0815 = replace(_QWEN_VL_PLUS_OLD, token_factor=32, video_factor=32)
_QWEN_VL_PLUS = replace(_QWEN_VL_PLUS_0815, json_object=True)  # of the stable and latest versions, not of the snapshots
_QWEN_VL_MAX_OLD = replace(_QWEN_VL_PLUS_OLD, name="qwen-vl-max")
_QWEN_VL_MAX_0408 = replace(_QWEN_VL_MAX_OLD, video_max_bytes=2 * _GB, video_seconds=(2.0, 20 * _MINUTE))
_QWEN_VL_MAX_0813 = replace(_QWEN_VL_MAX_0408, token_factor=32, video_factor=32)
_QWEN_VL_MAX = replace(_QWEN_VL_MAX_0813, json_object=True)
# Not on the page. The vendor's OCR page states 32 x 32 pixels a token for the snapshot of 2025-11-20.
_QWEN_VL_OCR = ModelFacts(
    name="qwen-vl-ocr",
    videos=False,
    frames_min=None,
    max_frames=None,
    video_max_bytes=None,
    video_seconds=None,
    context_window=34_096,
    max_output=4_096,
    source=_MODELS_DEV,
)
_OTHER = ModelFacts(name="")  # Qwen2-VL and the first qwen-vl snapshots: the page's "other models"

# --- Qwen3.5 and newer: vision is built in, and thinking is on by default.
_QWEN35 = ModelFacts(
    name="",
    thinking="hybrid",
    server_thinking_default=True,
    tools=True,
    json_object=True,
    max_output=65_536,
    token_factor=32,
    video_factor=32,
    default_image_tokens=2560,
    max_frames=8000,  # stated for qwen3.5; assumed for its successors
    video_max_bytes=2 * _GB,
    video_seconds=(2.0, 2 * _HOUR),
    coordinates="relative",
    source=f"{_NEWER}; context: {_MODELS_DEV}",
)
_QWEN36_PLUS = replace(_QWEN35, name="qwen3.6-plus", context_window=1_000_000, preserve_thinking=True)
_QWEN37 = replace(_QWEN35, preserve_thinking=True, json_schema=True)

_UNKNOWN = ModelFacts(
    name="",
    known=False,
    thinking="unknown",
    server_thinking_default=None,
    # True, so that no setting of the caller is refused or rewritten.
    tools=True,
    json_object=True,
    json_schema=True,
    preserve_thinking=True,
    # The larger of the two known values, so that an estimate is rather too high than too low.
    default_image_tokens=2560,
    frames_min=None,
    max_frames=None,
    video_max_bytes=None,
    video_seconds=None,
    source="",
)
_UNKNOWN_QWEN3_VL = replace(_UNKNOWN, token_factor=32, video_factor=32, coordinates="relative", source=_VISION)

_EXACT: dict[str, ModelFacts] = {
    "qwen-vl-max": _QWEN_VL_MAX,
    "qwen-vl-max-latest": _QWEN_VL_MAX,
    "qwen-vl-max-2025-08-13": _QWEN_VL_MAX_0813,
    "qwen-vl-max-0813": _QWEN_VL_MAX_0813,
    "qwen-vl-max-2025-04-08": _QWEN_VL_MAX_0408,
    "qwen-vl-max-0408": _QWEN_VL_MAX_0408,
    "qwen-vl-plus": _QWEN_VL_PLUS,
    "qwen-vl-plus-latest": _QWEN_VL_PLUS,
    "qwen-vl-plus-2025-08-15": _QWEN_VL_PLUS_0815,
    "qwen-vl-plus-0815": _QWEN_VL_PLUS_0815,
    "qwen-vl-plus-2025-07-10": _QWEN_VL_PLUS_0710,
    "qwen-vl-plus-0710": _QWEN_VL_PLUS_0710,
}


def _newer_family(family: str, facts: ModelFacts, *rows: ModelFacts) -> Iterator[_Row]:
    """Yield the named rows of a Qwen3.5-or-newer family, then the rows of its other members."""
    for row in rows:
        yield _Row(row.name, row)
    # Models that share the version number but are not vision chat models.
    for part in ("omni", "ocr", "asr", "tts", "coder", "embedding", "rerank", "reranker", "livetranslate"):
        yield _Row(family, _UNKNOWN, part)
    yield _Row(family, replace(facts, thinking="always", json_object=False, json_schema=False), "thinking")
    yield _Row(family, replace(facts, thinking="never", server_thinking_default=False), "instruct")
    yield _Row(family, facts)


def _open_weights(name: str, facts: ModelFacts = _QWEN35) -> ModelFacts:
    return replace(facts, name=name, context_window=262_144)


# Scanned in order; the first row whose prefix (and part) matches is used.
_PREFIXES: tuple[_Row, ...] = (
    _Row("qwen3-vl-plus", _QWEN3_VL_PLUS),
    _Row("qwen3-vl-flash", _QWEN3_VL_FLASH),
    _Row("qwen3-vl", _QWEN3_VL_THINKING, "thinking"),
    _Row("qwen3-vl", _QWEN3_VL_INSTRUCT, "instruct"),
    _Row("qwen3-vl", _UNKNOWN_QWEN3_VL),
    _Row("qvq-max", replace(_QVQ, name="qvq-max")),
    _Row("qvq-plus", replace(_QVQ, name="qvq-plus")),
    _Row("qvq", _QVQ),
    _Row("qwen-vl-ocr", _QWEN_VL_OCR),
    _Row("qwen-vl-max", _QWEN_VL_MAX_OLD),
    _Row("qwen-vl-plus", _QWEN_VL_PLUS_OLD),
    _Row("qwen-vl", _OTHER),
    _Row("qwen2.5-vl", _QWEN25_VL, "instruct"),
    _Row("qwen2.5-vl", _QWEN25_VL),
    _Row("qwen2-vl", _OTHER, "instruct"),
    _Row("qwen2-vl", _OTHER),
    *_newer_family(
        "qwen3.5",
        _QWEN35,
        replace(_QWEN35, name="qwen3.5-plus", context_window=1_000_000),
        replace(_QWEN35, name="qwen3.5-flash", context_window=1_000_000),
        *(_open_weights(f"qwen3.5-{size}") for size in ("397b-a17b", "122b-a10b", "35b-a3b", "27b")),
    ),
    *_newer_family(
        "qwen3.6",
        _QWEN35,
        _QWEN36_PLUS,
        replace(_QWEN35, name="qwen3.6-flash", context_window=1_000_000),
        replace(
            _QWEN36_PLUS, name="qwen3.6-max", context_window=None
        ),  # preserves reasoning; no source states the size
        *(_open_weights(f"qwen3.6-{size}") for size in ("35b-a3b", "27b")),
    ),
    *_newer_family("qwen3.7", _QWEN37, replace(_QWEN37, name="qwen3.7-plus", context_window=1_000_000)),
)

CATALOGUE: tuple[ModelFacts, ...] = tuple(
    dict.fromkeys(facts for facts in (*_EXACT.values(), *(row.facts for row in _PREFIXES)) if facts.name)
)
"""Every row with a name of its own, each once (rows of open-source sizes get their name on a match)."""


@lru_cache(maxsize=512)
def describe(name: str) -> ModelFacts:
    """Return the facts of the model called `name`.

    Args:
        name: The name of a model of the service or of a self-hosted checkpoint. Case, an `org/` prefix, a date, a
            `-us` suffix and a `:tag` are ignored.

    Returns:
        The matching row, or one with `known=False` and `thinking="unknown"`; no string raises an error.
    """
    key = name.strip().lower().rsplit("/", 1)[-1].replace(":", "-").removesuffix("-us")
    exact = _EXACT.get(key)
    if exact is not None:
        return exact
    for prefix, facts, part in _PREFIXES:
        if key == prefix or key.startswith(f"{prefix}-"):
            if not part:
                return facts if facts.name else replace(facts, name=key)
            if part in key[len(prefix) :].split("-"):
                return replace(facts, name=key[: key.index(f"-{part}", len(prefix)) + len(part) + 1])
    return replace(_UNKNOWN, name=key)
