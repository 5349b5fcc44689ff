"""Count the tokens of text with the tokenizer that the vendor's SDK ships.

The SDK (extra `dashscope`) holds the vocabulary of the models up to Qwen3-VL as a file, so nothing is downloaded.
Qwen3.5 and newer have another vocabulary, which no package of the vendor ships.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from qwenvl_core.catalog.models import ModelFacts
from qwenvl_core.types.fork_lock import ForkSafeLock

Encode = Callable[[str], Sequence[Any]]

_FAMILIES = ("qwen-vl", "qwen2-vl", "qwen2.5-vl", "qwen3-vl", "qvq")
"""Beginnings of the base names of the models that have this vocabulary (their `tokenizer.json` is the same)."""

_lock = ForkSafeLock()  # loading takes a third of a second and 40 MB: once per process
_loaded: list[Encode | None] = []


def find_tokenizer(facts: ModelFacts) -> Encode | None:
    """Return the function that splits text into tokens as a model does.

    Returns:
        `None` if the model has another vocabulary or none that is known, or if the SDK is not installed.
    """
    if not any(facts.name == family or facts.name.startswith(f"{family}-") for family in _FAMILIES):
        return None
    if not _loaded:
        with _lock:
            if not _loaded:
                _loaded.append(_load_tokenizer())
    return _loaded[0]


def _load_tokenizer() -> Encode | None:
    try:
        from dashscope.tokenizers import get_tokenizer

        encode: Encode = get_tokenizer("qwen-vl-plus").encode
    except (ImportError, OSError):  # not installed, or without its vocabulary
        return None
    return encode
