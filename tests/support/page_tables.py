"""Write the tables of documentation pages that state facts of the catalog.

A table stands behind a comment with its name. `python -m tests.support.page_tables` writes all of them; a test compares
the pages with what the rows give.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable

from qwenvl_core.catalog.endpoints import REGIONS
from qwenvl_core.catalog.facts import MB, ModelFacts
from qwenvl_core.catalog.models import CATALOGUE, describe
from qwenvl_core.catalog.retrieval_facts import EmbeddingFacts, RerankFacts
from qwenvl_core.catalog.retrieval_models import EMBEDDING_MODELS, RERANKERS
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


def list_embedding_models() -> str:
    """List the embedding models with their limits."""
    header = ("model", "takes", "dimensions", "items, images, videos a request", "image, video up to", "regions")
    return _format(header, map(_describe_embedding_model, EMBEDDING_MODELS))


def list_rerankers() -> str:
    """List the rerankers that are on sale with their limits."""
    header = ("reranker", "takes", "texts, images, videos a request", "regions")
    return _format(header, (_describe_reranker(facts) for facts in RERANKERS if facts.retired is None))


def list_batch_models() -> str:
    """List the models that batches take."""
    rows = {facts.name: facts for facts in CATALOGUE if facts.batch_chat or facts.batch_files}
    names = [(f"`{name}`", _say(facts.batch_chat), _say(facts.batch_files)) for name, facts in rows.items()]
    return _format(("model", "Batch Chat", "batch files"), names)


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
    "embedding_models": list_embedding_models,
    "rerankers": list_rerankers,
    "batch_models": list_batch_models,
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


def _describe_embedding_model(facts: EmbeddingFacts) -> tuple[str, ...]:
    default, others = facts.default_dimensions, [size for size in facts.dimensions if size != facts.default_dimensions]
    dimensions = ", ".join([f"**{default}**" if default else "", *map(str, others)]).strip(", ") or "the model's own"
    return (
        f"`{facts.name}`",
        ", ".join(("text", *facts.media)),
        dimensions,
        _join(facts.max_items, facts.max_images, facts.max_videos),
        _join(_format_bytes(facts.image_max_bytes), _format_bytes(facts.video_max_bytes)) if facts.media else _NONE,
        _name_regions(facts.regions),
    )


def _describe_reranker(facts: RerankFacts) -> tuple[str, ...]:
    counts = _join(facts.max_texts, facts.max_images, facts.max_videos)
    return f"`{facts.name}`", ", ".join(("text", *facts.media)), counts, _name_regions(facts.regions)


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


def _say(value: bool) -> str:
    return "yes" if value else "no"


def _format_bytes(value: int | None) -> str:
    if value is None:
        return _NONE
    return f"{value // MB} MB" if value < 1024 * MB else f"{value // (1024 * MB)} GB"


def _name_regions(ids: Iterable[str]) -> str:
    names = [region.aliases[0] for region in REGIONS if region.id in ids]
    return ", ".join(names) or "not stated"


if __name__ == "__main__":
    main()
