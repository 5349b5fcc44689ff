"""The model catalog: capabilities and limits of each Qwen-VL model, as rows of data.

A name is brought to the catalog's spelling (`catalog.names`) and matched without a trailing `-us`: first against the
exact names, then against the prefixes of `catalog.rows_qwen_vl` and `catalog.rows_qwen3_5`. A prefix ends at a `-`, so
dated snapshots and fine-tunes get the row of their base model. A name of the newest family, or of a later one, that no
row names gets the newest family's row with `assumed=True`. No server is queried, and no name is an error: any other
name gets a row with `known=False`.
"""

from __future__ import annotations

import re
from dataclasses import replace
from functools import lru_cache

from qwenvl_core.catalog import rows_qwen3_5, rows_qwen_vl
from qwenvl_core.catalog.facts import ModelFacts
from qwenvl_core.catalog.names import canonicalize, is_sibling, parse_version
from qwenvl_core.catalog.rows import UNKNOWN, Row, think_always, think_never

__all__ = ["CATALOGUE", "ModelFacts", "describe"]

_EXACT = {**rows_qwen_vl.EXACT, **rows_qwen3_5.EXACT}
_ROWS: tuple[Row, ...] = (*rows_qwen_vl.ROWS, *rows_qwen3_5.ROWS)
_VARIANTS = {"thinking": think_always, "instruct": think_never}
"""What a word in the name of a hybrid model makes of its row."""
_OTHER_ABILITIES = frozenset(("omni", "ocr"))
"""Words of names that are no vision chat models, unless a row says so."""

CATALOGUE: tuple[ModelFacts, ...] = tuple(
    dict.fromkeys(facts for facts in (*_EXACT.values(), *(row.facts for row in _ROWS)) if facts.name)
)
"""Every row with a name of its own, each once (rows of open-source sizes get their name on a match)."""


@lru_cache(maxsize=512)
def describe(name: str) -> ModelFacts:
    """Return the facts of the model called `name`.

    Args:
        name: The name of a model of the service or of a self-hosted checkpoint. Case, an `org/` prefix, a date, a
            `-us` suffix, a `:tag`, an `@revision` and other spellings are ignored (see `catalog.names`).

    Returns:
        The matching row; the newest family's, with `assumed=True`, for a newer name that no row names; or one with
        `known=False` and `thinking="unknown"`. No string raises an error.

    Example:
        ```python
        facts = describe("Qwen/Qwen3-VL-8B-Thinking")
        print(facts.thinking, facts.images, facts.context_window)  # always True 131072
        ```
    """
    key = canonicalize(name).removesuffix("-us")
    exact = _EXACT.get(key)
    if exact is not None:
        return exact
    if is_sibling(key):
        return replace(UNKNOWN, name=key)
    return _apply_variant(_match_row(key) or _assume(key) or replace(UNKNOWN, name=key), key)


def _match_row(key: str) -> ModelFacts | None:
    """Return the facts of the first row that matches."""
    for prefix, facts, part in _ROWS:
        if key == prefix or key.startswith(f"{prefix}-"):
            if not part:
                return facts if facts.name else replace(facts, name=key)
            end = _find_end(key, part, len(prefix))
            if end is not None:
                return replace(facts, name=key[:end])
    return None


def _find_end(key: str, part: str, start: int) -> int | None:
    """Return where a part of a name ends, behind `start`; `None` if the name does not have it."""
    match = re.compile(f"-(?:{part})(?=-|$)").search(key, start)
    return match.end() if match else None


def _assume(key: str) -> ModelFacts | None:
    """Return the row of the newest family for a name of it, or of a later one."""
    version = parse_version(key)
    if version is None or version < rows_qwen3_5.NEWEST_FAMILY or _OTHER_ABILITIES & set(key.split("-")):
        return None
    has_size = _find_end(key, rows_qwen3_5.SIZE, 0) is not None
    return replace(rows_qwen3_5.ASSUMED, name=key, open_weights=has_size)


def _apply_variant(facts: ModelFacts, key: str) -> ModelFacts:
    """Return the facts of a hybrid model's variant, which its name states: it always thinks, or never."""
    if facts.thinking != "hybrid":
        return facts
    for part, convert in _VARIANTS.items():
        end = _find_end(key, part, 0)
        if end is not None:
            return replace(convert(facts), name=key[:end])
    return facts
