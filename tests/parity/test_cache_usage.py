"""Test the usage of the context cache in both frameworks, both APIs and every call mode."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from langchain_core.messages import AIMessage
from llama_index.core.base.llms.types import ChatResponse

from langchain_qwenvl.responses import convert_usage
from qwenvl_core.types.events import Usage
from tests.emulator import Emulator, Reply
from tests.parity.call_modes import APIS, CALL_MODES, Api, CallMode, ModelPair, metadata_of


@pytest.fixture(params=APIS)
def pair(request: pytest.FixtureRequest, emulator: Emulator) -> Iterator[ModelPair]:
    api: Api = request.param
    models = ModelPair(emulator, api)
    yield models
    models.close()


def read_input_details(answer: AIMessage | ChatResponse) -> dict[str, Any]:
    """Return the details of the input tokens, under the names of the answer's framework."""
    if isinstance(answer, ChatResponse):
        names = ("cached_tokens", "cache_creation_tokens", "image_tokens", "video_tokens")
        return {name: answer.additional_kwargs[name] for name in names if name in answer.additional_kwargs}
    assert answer.usage_metadata is not None
    return dict(answer.usage_metadata["input_token_details"])


ROWS: list[tuple[dict[str, int], dict[str, int], dict[str, int]]] = [
    # what the service counts, LangChain's details, LlamaIndex' details
    ({"prompt": 1500}, {}, {}),
    (
        {"prompt": 1500, "cached": 0, "cache_creation": 1400},
        {"cache_read": 0, "cache_creation": 1400},
        {"cached_tokens": 0, "cache_creation_tokens": 1400},
    ),
    (
        {"prompt": 1500, "cached": 1400, "cache_creation": 0},
        {"cache_read": 1400, "cache_creation": 0},
        {"cached_tokens": 1400},
    ),
    (
        {"prompt": 3019, "cached": 1500, "cache_creation": 1400, "image": 1240},
        {"cache_read": 1500, "cache_creation": 1400, "image": 119},
        {"cached_tokens": 1500, "cache_creation_tokens": 1400, "image_tokens": 1240},
    ),
    # The picture is cached as a whole.
    ({"prompt": 2520, "cached": 2520, "image": 2503}, {"cache_read": 2520, "image": 0},
     {"cached_tokens": 2520, "image_tokens": 2503}),
    # The picture need not be cached, so nothing is known to overlap.
    ({"prompt": 2000, "cached": 400, "image": 1600}, {"cache_read": 400, "image": 1600},
     {"cached_tokens": 400, "image_tokens": 1600}),
    ({"prompt": 2000, "cached": 401, "image": 1600}, {"cache_read": 401, "image": 1599},
     {"cached_tokens": 401, "image_tokens": 1600}),
    (
        {"prompt": 900, "cached": 256, "image": 700, "video": 100},
        {"cache_read": 256, "image": 544, "video": 100},
        {"cached_tokens": 256, "image_tokens": 700, "video_tokens": 100},
    ),
]  # fmt: skip


@pytest.mark.parametrize("call_mode", CALL_MODES, ids=str)
@pytest.mark.parametrize(("counted", "langchain", "llama_index"), ROWS)
def test_usage_with_cache_keeps_the_counts_of_the_service(
    counted: dict[str, int],
    langchain: dict[str, int],
    llama_index: dict[str, int],
    call_mode: CallMode,
    pair: ModelPair,
    emulator: Emulator,
) -> None:
    emulator.script(Reply(text="Hi.", usage=counted))
    answer = pair.send(call_mode)
    assert read_input_details(answer) == (langchain if call_mode.framework == "langchain" else llama_index)
    raw = metadata_of(answer)["token_usage" if call_mode.framework == "langchain" else "usage"]
    raw_details = raw.get("input_tokens_details", {}) | raw["prompt_tokens_details"] if len(counted) > 1 else {}
    for name, key in (
        ("cached", "cached_tokens"), ("cache_creation", "cache_creation_input_tokens"), ("image", "image_tokens"),
        ("video", "video_tokens"),
    ):  # fmt: skip
        assert raw_details.get(key) == counted.get(name)


_COUNTS = st.none() | st.integers(0, 5000)


@given(st.integers(0, 5000), _COUNTS, _COUNTS, _COUNTS, _COUNTS)
def test_input_details_never_sum_to_more_than_the_input(
    total: int, cached: int | None, created: int | None, image: int | None, video: int | None
) -> None:
    usage = Usage(total, 1, total + 1, cached=cached, cache_creation=created, image=image, video=video)
    metadata = convert_usage(usage)
    assert metadata is not None
    split: dict[str, Any] = dict(metadata["input_token_details"])
    counted = {"cache_read": cached, "cache_creation": created, "image": image, "video": video}
    assert split.keys() == {name for name, count in counted.items() if count is not None}
    assert sum(split.values()) <= total
    assert all(0 <= count <= (counted[name] or 0) for name, count in split.items())
    if sum(count or 0 for count in counted.values()) <= total:
        assert split == {name: count for name, count in counted.items() if count is not None}
