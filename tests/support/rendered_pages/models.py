"""Render the documentation page of the models from the catalog's rows."""

from __future__ import annotations

from collections.abc import Callable, Iterator

from qwenvl_core.catalog import rows_qwen3_5, rows_qwen_vl
from qwenvl_core.catalog.endpoints import REGIONS, Region
from qwenvl_core.catalog.facts import GB, MB, MINUTE, ModelFacts
from qwenvl_core.catalog.retrieval_facts import EmbeddingFacts, RerankFacts
from qwenvl_core.catalog.retrieval_models import EMBEDDING_MODELS, RERANKERS
from qwenvl_core.catalog.rows import Row
from tests.support.rendered_pages.markdown import NOTHING, build_notice, build_table, group, join_sections, mark, quote

Cell = Callable[[ModelFacts], str]

_NEWEST = "Qwen" + ".".join(map(str, rows_qwen3_5.NEWEST_FAMILY))
_INTRODUCTION = f"""# Models

{build_notice("the rows of qwenvl_core/catalog/")}

What this package knows about each model. Limits are checked before a request is sent; a dash is a limit that no source
states, and it is not checked. `qwenvl_core.models.describe(name)` returns the same facts.

A name gets the first line that it equals or begins with, so a dated snapshot or a fine-tune gets the line of its base
model. Case, an `org/` prefix, `:tag`, `@revision`, `.gguf` and other spellings are ignored. The variant of a hybrid
model always thinks if its name has `-thinking`, and never if it has `-instruct`. A name of the newest family,
{_NEWEST}, or of a later one that has no line is assumed to be like the newest flagship, without its limits. For any
other name only what the caller sets is sent. In a name, `…` stands for any text, and *size* for a size such as `27b`
or `35b-a3b`.
"""
_FUSION = {
    "request": "all items of a list",
    "content": "all items of a list",
    "images": "images of a list",
    "always": "one text, image and video",
    "never": NOTHING,
}


def render() -> str:
    """Render the page as Markdown."""
    return join_sections(
        _INTRODUCTION,
        _render_facts(
            "## Thinking, tools, JSON",
            "A `hybrid` model thinks unless `enable_thinking=False`; `always` and `never` models have no such switch. "
            "“Schema” means that the service takes a JSON schema as `response_format`; “earlier reasoning” is what "
            "`preserve_thinking` does.",
            {
                "thinking": lambda facts: facts.thinking,
                "`reasoning_effort`": lambda facts: quote(facts.reasoning_efforts),
                "largest `thinking_budget`": lambda facts: group(facts.max_thinking_budget),
                "earlier reasoning": _describe_preserving,
                "tools": lambda facts: mark(facts.tools),
                "JSON": _describe_json,
            },
        ),
        _render_facts(
            "## Context and output",
            "In tokens. Where the service allows less input or a smaller `max_tokens` while the model thinks, that "
            "number has a column of its own.",
            {
                "context": lambda facts: group(facts.context_window),
                "input": lambda facts: group(facts.max_input),
                "input, thinking": lambda facts: group(facts.max_input_thinking),
                "output": lambda facts: group(facts.max_output),
                "`max_tokens`, thinking": lambda facts: group(facts.max_tokens_thinking),
            },
        ),
        _render_facts(
            "## Images",
            "An image costs one token for each square of so many pixels, within these bounds; `max_pixels` raises the "
            "default up to the maximum. “Data URI” is the longest inline image.",
            {
                "pixels a token": lambda facts: f"{facts.token_factor} × {facts.token_factor}",
                "least tokens": lambda facts: group(facts.min_image_tokens),
                "default tokens": lambda facts: group(facts.default_image_tokens),
                "most tokens": lambda facts: group(facts.max_image_tokens),
                "images by URL": lambda facts: group(facts.max_images_url),
                "images inline": lambda facts: group(facts.max_images_inline),
                "data URI": lambda facts: _format_bytes(facts.data_uri_max_bytes),
                "boxes": lambda facts: facts.coordinates or NOTHING,
            },
            lambda facts: facts.images,
        ),
        _render_facts(
            "## Videos",
            "A list of frames is a video too. Inline videos may have 10 MiB with every model.",
            {
                "videos in a request": lambda facts: group(facts.max_videos),
                "frames": _describe_frames,
                "duration": _describe_duration,
                "file": lambda facts: _format_bytes(facts.video_max_bytes),
                "pixels a token": lambda facts: f"{facts.video_factor} × {facts.video_factor}",
                "squares a frame": lambda facts: group(facts.video_frame_tokens),
                "squares a video": lambda facts: group(facts.video_total_tokens),
            },
            lambda facts: facts.videos,
        ),
        "## OCR tasks\n\n`ocr_options={\"task\": …}`, with `api=\"dashscope\"`.\n\n"
        + build_table(
            ("model", "tasks"), [(name, quote(facts.ocr_tasks)) for name, facts in _list_models() if facts.ocr_tasks]
        ),
        _render_facts(
            "## Batches, weights, retired models",
            "Both kinds of batches cost half. Models with public weights are also offered by [other servers]"
            "(providers.md).",
            {
                "`service_tier=\"batch\"`": lambda facts: mark(facts.batch_chat),
                "batch files": lambda facts: mark(facts.batch_files),
                "public weights": lambda facts: mark(facts.open_weights),
                "retired": lambda facts: facts.retired or NOTHING,
            },
        ),
        "## Embedding models\n\nThe default length of the vectors is bold.\n\n"
        + build_table(
            (
                *("model", "takes", "dimensions", "items a request", "images", "videos", "image file", "video file"),
                *("one vector of", "`instruct`", "regions"),
            ),
            map(_list_embedding, EMBEDDING_MODELS),
        ),
        "## Rerankers\n\nA rerank is one request, since scores of different requests do not compare.\n\n"
        + build_table(
            ("model", "takes", "texts", "images", "videos", "`instruct`", "regions", "retired"),
            map(_list_reranker, RERANKERS),
        ),
        "## Regions\n\nA key is valid in one region only. A region without a public host needs `workspace=`.\n\n"
        + build_table(
            ("region", "other names", "host", "upload of large files", "Batch Chat"), map(_list_region, REGIONS)
        ),
        "## Sources\n\n"
        + build_table(
            ("model", "source"),
            [(name, facts.source) for name, facts in _list_models()]
            + [(f"`{embedding.name}`", embedding.source) for embedding in EMBEDDING_MODELS]
            + [(f"`{reranker.name}`", reranker.source) for reranker in RERANKERS],
        ),
    )  # fmt: skip


def _list_models() -> Iterator[tuple[str, ModelFacts]]:
    """Yield each line's label and facts: exact names, then prefixes, newest family first."""
    for rows in (rows_qwen3_5, rows_qwen_vl):
        names: dict[int, list[str]] = {}
        for name, facts in rows.EXACT.items():
            names.setdefault(id(facts), []).append(name)
        for name, facts in rows.EXACT.items():
            if names[id(facts)][0] == name:
                yield quote(names[id(facts)]), facts
        for row in sorted(rows.ROWS, key=_rank_family):
            if row.facts.known:
                yield _label(row), row.facts


def _rank_family(row: Row) -> float:
    """Return a number by which the newest family of a table sorts first; rows of one family keep their order."""
    version = row.prefix.removeprefix("qwen").split("-")[0]
    return -float(version) if version.replace(".", "").isdigit() else 0.0


def _label(row: Row) -> str:
    if row.part == rows_qwen3_5.SIZE:
        return f"`{row.prefix}-…`*size*"
    return f"`{row.prefix}-…-{row.part}`" if row.part else f"`{row.prefix}`"


def _render_facts(
    title: str, text: str, columns: dict[str, Cell], is_listed: Callable[[ModelFacts], bool] = lambda facts: True
) -> str:
    rows = [
        (name, *(cell(facts) for cell in columns.values())) for name, facts in _list_models() if is_listed(facts)
    ]  # fmt: skip
    return f"{title}\n\n{text}\n\n{build_table(('model', *columns), rows)}"


def _describe_preserving(facts: ModelFacts) -> str:
    return "by default" if facts.preserve_thinking_default else "can be sent" if facts.preserve_thinking else NOTHING


def _describe_json(facts: ModelFacts) -> str:
    kinds = [kind for kind, has in (("object", facts.json_object), ("schema", facts.json_schema)) if has]
    return ", ".join(kinds) or NOTHING


def _describe_frames(facts: ModelFacts) -> str:
    if facts.frames_min is None or facts.max_frames is None:
        return NOTHING
    return f"{facts.frames_min}–{facts.max_frames:,}"


def _describe_duration(facts: ModelFacts) -> str:
    if facts.video_seconds is None:
        return NOTHING
    shortest, longest = facts.video_seconds
    return f"{shortest:g} s – " + (f"{longest / MINUTE:g} min" if longest >= MINUTE else f"{longest:g} s")


def _format_bytes(size: int | None) -> str:
    if size is None:
        return NOTHING
    return f"{size / GB:g} GiB" if size >= GB else f"{size / MB:g} MiB"


def _list_embedding(facts: EmbeddingFacts) -> tuple[str, ...]:
    dimensions = [f"**{length}**" if length == facts.default_dimensions else str(length) for length in facts.dimensions]
    return (
        f"`{facts.name}`",
        ", ".join(("text", *facts.media)),
        ", ".join(dimensions) or NOTHING,
        group(facts.max_items),
        group(facts.max_images),
        group(facts.max_videos),
        _format_bytes(facts.image_max_bytes),
        _format_bytes(facts.video_max_bytes),
        _FUSION[facts.fusion],
        mark(facts.instruct),
        quote(facts.regions),
    )


def _list_reranker(facts: RerankFacts) -> tuple[str, ...]:
    return (
        f"`{facts.name}`",
        ", ".join(("text", *facts.media)),
        group(facts.max_texts),
        group(facts.max_images),
        group(facts.max_videos),
        mark(facts.instruct),
        quote(facts.regions),
        facts.retired or NOTHING,
    )


def _list_region(region: Region) -> tuple[str, ...]:
    return (
        f"`{region.id}`",
        quote(region.aliases),
        f"`{region.host}`" if region.host else "by workspace only",
        mark(region.has_storage),
        f"`{region.batch_host}`" if region.batch_host else NOTHING,
    )
