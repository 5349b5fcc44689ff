"""Check the length of a request in a batch, which is less than some models take otherwise.

The check counts what a request has at least: nothing that the service takes is refused. Images and videos follow the
vendor's formulas; media behind a URL, whose size is not known, are left out, and so is what the chat template adds.
Text is exact for models whose vocabulary is known. For others, its tokens are bounded from below by what the tokenizers
of all families have in common: they split a text into words, numbers and runs of punctuation before they merge
anything, and no token is longer than the longest in their vocabularies. For English text the bound is about a seventh
below the count, for Chinese about a third of it.
"""

from __future__ import annotations

import json
import math
import re
from collections.abc import Iterator
from typing import NamedTuple

from qwenvl_core.catalog.models import ModelFacts
from qwenvl_core.errors import QwenVLInputOverflowError
from qwenvl_core.request.text_tokenizer import find_tokenizer
from qwenvl_core.request.token_count import find_media_tokens
from qwenvl_core.types.messages import ImagePart, Media, TextPart
from qwenvl_core.types.request import PreparedRequest, Request
from qwenvl_core.types.settings import ModelSettings

_MAX_BYTES_PER_CHARACTER = 4  # and a token has one byte at least
_CJK = "\u3400-\u4dbf\u4e00-\u9fff\uf900-\ufaff\u3040-\u30ff\uac00-\ud7af"
_WESTERN = "A-Za-z\u00c0-\u052f\u1e00-\u1fff"  # Latin, Greek, Cyrillic, with accents that stand alone
_PUNCTUATION = "!-/:-@\\[-`{-~\u2010-\u2027\u2030-\u205e\u3001-\u3011\uff01-\uff0f\uff1a-\uff20"
_TOKENIZER_BLOCK = 100_000  # characters, which the vendor's tokenizer counts one after the other


class _Run(NamedTuple):
    """A run of characters that becomes one token at least, and the most characters that a token has.

    The longest tokens of the vocabulary up to Qwen3-VL have 36 letters, 11 characters of Japanese, 114 of punctuation.
    """

    pattern: re.Pattern[str]
    longest_token: int


_RUNS = (
    _Run(re.compile(f"[{_WESTERN}{_CJK}]+"), 48),
    _Run(re.compile("[0-9]+"), 3),  # one digit up to Qwen3-VL
    # A single character before a letter may belong to the word.
    _Run(re.compile(rf"[{_PUNCTUATION}]{{2,}}|[{_PUNCTUATION}](?![^\W\d])"), 128),
)
_CJK_RUN = re.compile(f"[{_CJK}]+")
_LONGEST_CJK = 12


def check_batch_context(prepared: PreparedRequest, facts: ModelFacts) -> None:
    """Check that a request is not longer than batches take.

    Raises:
        QwenVLInputOverflowError: It is.
    """
    limit = facts.max_input_batch
    if prepared.settings.service_tier is None or limit is None:
        return
    count = _count_media(prepared, facts)
    texts = list(_list_texts(prepared))
    if count + sum(map(len, texts)) * _MAX_BYTES_PER_CHARACTER > limit:
        count += sum(bound_text_tokens(text, facts) for text in texts)
    if count > limit:
        raise QwenVLInputOverflowError(
            f"The request is too long for a batch: {count:,} input tokens at least. Batch Chat and batch files take "
            f"{limit:,} at most with model {prepared.settings.model!r}."
        )


def has_long_text(request: Request, facts: ModelFacts) -> bool:
    """Return whether the text of a request is counted, which takes longer than an event loop may be kept."""
    if request.settings.service_tier is None or facts.max_input_batch is None:
        return False
    texts = (part.text for message in request.messages for part in message.parts if isinstance(part, TextPart))
    return sum(map(len, texts)) * _MAX_BYTES_PER_CHARACTER > facts.max_input_batch // 2  # the rest: tools, media


def bound_text_tokens(text: str, facts: ModelFacts) -> int:
    """Count the tokens that a text has at least: exactly for models whose vocabulary is known."""
    encode = find_tokenizer(facts)
    if encode is not None:
        return max(len(encode(text)) - len(text) // _TOKENIZER_BLOCK, 0)
    return _bound_text(text)


def _bound_text(text: str) -> int:
    total = 0
    for run in _RUNS:
        found = run.pattern.findall(text)
        characters = sum(map(len, found))
        total += max(len(found), characters // run.longest_token)
    cjk = sum(map(len, _CJK_RUN.findall(text)))
    return max(total, math.ceil(cjk / _LONGEST_CJK))


def _list_texts(prepared: PreparedRequest) -> Iterator[str]:
    for message in prepared.messages:
        yield from (part.text for part in message.parts if isinstance(part, TextPart))
    yield from (json.dumps(tool, ensure_ascii=False, default=str) for tool in prepared.settings.tools or ())


def _count_media(prepared: PreparedRequest, facts: ModelFacts) -> int:
    parts = (part for message in prepared.messages for part in message.parts)
    media = (part for part in parts if not isinstance(part, TextPart))
    return sum(_count_medium(part, prepared.settings, facts) for part in media)


def _count_medium(part: Media, settings: ModelSettings, facts: ModelFacts) -> int:
    tokens = find_media_tokens(part, settings, facts) or 0
    total_pixels = None if isinstance(part, ImagePart) else part.total_pixels
    # Two frames make one token of each square; the service scales them to `total_pixels`.
    return tokens if total_pixels is None else min(tokens, total_pixels // (2 * facts.video_factor**2))
