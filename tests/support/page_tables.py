"""Write the tables in documentation pages that are computed from the rows of the catalog.

A table stands behind a comment with its name. `python -m tests.support.page_tables` writes all of them; a test compares
the pages with what the rows give.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable

from qwenvl_core.catalog.facts import MB, ModelFacts
from qwenvl_core.catalog.models import describe
from qwenvl_core.tokens import image_tokens, video_tokens
from tests.support.markdown import list_markdown_files, read_markdown
from tests.support.paths import ROOT

_TABLE = re.compile(r"(?P<comment><!-- table: (?P<name>\w+) -->\n\n)(?:\|[^\n]*\n)*")
_NONE = "–"

_COUNTED_MODELS = (
    *("qwen3.8-max", "qwen3.8-flash", "qwen3.7-plus", "qwen3.5-plus", "qwen3-vl-plus", "qwen3-vl-flash"),
    *("qwen2.5-vl-72b-instruct", "qvq-max", "qwen3.5-ocr"),
)
_LIMITED_MODELS = (*_COUNTED_MODELS[:6], "qwen2.5-vl-72b-instruct", "qwen3.5-ocr")


def list_token_counts() -> str:
    """List what pictures and videos cost in tokens."""
    header = (
        *("model", "pixels a token", "most tokens of a picture", "with `vl_high_resolution_images`"),
        *("A4 at 200 DPI", "4000 x 3000 photo", "a minute of 1920 x 1080 video at `fps=2`"),
    )
    return _format(header, map(_count_tokens, _COUNTED_MODELS))


def list_limits() -> str:
    """List what a request may hold."""
    header = (
        *("model", "context", "answer", "pictures by URL, inline", "inline up to", "videos"),
        *("video up to", "video lasts", "frames of a list"),
    )
    return _format(header, map(_describe_limits, _LIMITED_MODELS))


TABLES: dict[str, Callable[[], str]] = {
    "token_counts": list_token_counts,
    "limits": list_limits,
}


def fill_tables(text: str) -> str:
    """Return a page with the tables that the rows give.

    Raises:
        KeyError: The page names a table that does not exist.
    """
    return _TABLE.sub(lambda match: match["comment"] + TABLES[match["name"]](), text)


def find_names(text: str) -> list[str]:
    """Return the names of a page's tables."""
    return [match["name"] for match in _TABLE.finditer(text)]


def main() -> None:
    """Write the tables of all pages."""
    for name in list_markdown_files():
        text = read_markdown(name)
        if find_names(text):
            (ROOT / name).write_text(fill_tables(text), encoding="utf-8")


def _format(header: Iterable[str], rows: Iterable[Iterable[str]]) -> str:
    columns = tuple(header)
    lines = [columns, ("---",) * len(columns), *rows]
    return "".join(f"| {' | '.join(line)} |\n" for line in lines)


def _count_tokens(model: str) -> tuple[str, ...]:
    facts = describe(model)
    counts = (
        facts.default_image_tokens + 2,
        facts.max_image_tokens + 2,
        image_tokens(1654, 2339, model),
        image_tokens(4000, 3000, model),
    )
    video = f"{video_tokens(1920, 1080, 1800, 30, model, fps=2):,}" if facts.videos else _NONE
    side = facts.token_factor
    return f"`{model}`", f"{side} x {side}", *(f"{count:,}" for count in counts), video


def _describe_limits(model: str) -> tuple[str, ...]:
    facts = describe(model)
    return (
        f"`{model}`",
        _count(facts.context_window),
        _count(facts.max_output),
        _join(_count(facts.max_images_url), _count(facts.max_images_inline)),
        _format_bytes(facts.data_uri_max_bytes),
        _count(facts.max_videos),
        *_describe_video(facts),
    )


def _describe_video(facts: ModelFacts) -> tuple[str, str, str]:
    if not facts.videos:
        return _NONE, _NONE, _NONE
    seconds = _NONE if facts.video_seconds is None else "{:.0f} s to {:.0f} min".format(*_to_minutes(facts))
    return _format_bytes(facts.video_max_bytes), seconds, f"{_count(facts.frames_min)} to {_count(facts.max_frames)}"


def _to_minutes(facts: ModelFacts) -> tuple[float, float]:
    shortest, longest = facts.video_seconds or (0.0, 0.0)
    return shortest, longest / 60


def _join(*values: object) -> str:
    return ", ".join(_NONE if value is None else str(value) for value in values)


def _count(value: int | None) -> str:
    return _NONE if value is None else f"{value:,}"


def _format_bytes(value: int | None) -> str:
    if value is None:
        return _NONE
    return f"{value // MB} MB" if value < 1024 * MB else f"{value // (1024 * MB)} GB"


if __name__ == "__main__":
    main()
