"""Test the bound of a request's length in batches: what certainly does not fit is refused, nothing else."""

from __future__ import annotations

from typing import Literal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from qwenvl_core.catalog.models import describe
from qwenvl_core.errors import QwenVLContextOverflowError, QwenVLInputError, QwenVLInputOverflowError
from qwenvl_core.request import batch_context
from qwenvl_core.request.batch_context import check_batch_context
from qwenvl_core.request.text_tokenizer import find_tokenizer
from qwenvl_core.types.media import InlineSource, UrlSource
from qwenvl_core.types.messages import FramesPart, ImagePart, Message, Part, TextPart
from qwenvl_core.types.request import PreparedRequest
from qwenvl_core.types.settings import ModelSettings
from tests.support.media_files import solid_image

Tier = Literal["batch"] | None
LIMIT = 262_144
EXACT, BOUNDED = "qwen3-vl-plus", "qwen3.7-plus"
TEXTS = {
    "English": "The quick brown fox jumps over the lazy dog, doesn't it? Yes: \"it\" (always) does. ",
    "code": "def get_name(self) -> str:\n    return f\"{self._name}\"  # ...\n\n\n",
    "JSON": '{"bbox_2d": [12, 345, 6789, 0.5], "label": "Rechnung", "ok": true}, ',
    "Chinese": "生命周期函数是指在程序运行过程中，从创建到销毁所经历的各个阶段。他说：“好”。",
    "Japanese": "ありがとうございました。コミュニケーションのではないでしょうか？",
    "Korean": "하였습니다 되었습니다. 홈페이지 ",
    "Hindi": "नमस्ते दुनिया, यह एक परीक्षण है। ",
    "Arabic": "مرحبا بالعالم، هذا اختبار. ",
    "accents": "características automáticamente przedsiębiorstw Größe e\u0301tude ",
    "Vietnamese": "Việt Nam là một quốc gia nằm ở phía đông bán đảo Đông Dương, những món ăn ngon của đất nước. ",
    "emoji": "👍🏽👩‍👩‍👧 ok!!! ",
    "rules": "-" * 114 + "\n" + "=" * 64 + "\n//" + "-" * 112 + "\n",
    "long words": "latesAutoresizingMaskIntoConstraints dequeueReusableCellWithIdentifier ",
    "spaces": " " * 512 + "\t\t\n\n\n",
    "base64": "iVBORw0KGgoAAAANSUhEUgAAAEAAAABACAIAAAAlC+aJAAAA==",
}  # fmt: skip


def build_request(*parts: Part, model: str = BOUNDED, tier: Tier = "batch") -> PreparedRequest:
    settings = ModelSettings(model=model, service_tier=tier, vl_high_resolution_images=True)
    messages = (Message("user", parts),)
    return PreparedRequest(messages=messages, settings=settings, enable_thinking=True, stream=False)


def refuses(*parts: Part, model: str = BOUNDED, tier: Tier = "batch") -> bool:
    try:
        check_batch_context(build_request(*parts, model=model, tier=tier), describe(model))
    except QwenVLInputOverflowError:
        return True
    return False


encode = find_tokenizer(describe(EXACT))
needs_vocabulary = pytest.mark.skipif(encode is None, reason="the SDK with the vocabulary is not installed")


@needs_vocabulary
@pytest.mark.parametrize("name", TEXTS)
def test_bound_of_text_is_not_above_its_tokens(name: str) -> None:
    assert encode
    for text in (TEXTS[name], TEXTS[name] * 40, TEXTS[name].replace(" ", ""), TEXTS[name][::-1]):
        assert batch_context._bound_text(text) <= len(encode(text))


@needs_vocabulary
@given(st.text(max_size=200) | st.lists(st.sampled_from(sorted(TEXTS.values()))).map(lambda texts: "".join(texts)[::3]))
def test_bound_of_any_text_is_not_above_its_tokens(text: str) -> None:
    assert encode
    assert batch_context._bound_text(text) <= len(encode(text))


@needs_vocabulary
def test_bound_of_repeated_tokens_of_the_vocabulary_is_not_above_their_number() -> None:
    """The longest tokens, repeated, are the texts with the fewest tokens for their length."""
    assert encode
    for token in (
        "ありがとうございました",
        "生命周期函数",
        " dequeueReusableCellWithIdentifier",
        "하였습니다",
        "................",
    ):
        text = token * 500
        assert batch_context._bound_text(text) <= len(encode(text))


@needs_vocabulary
@pytest.mark.parametrize(("name", "share"), [("English", 0.75), ("code", 0.6), ("JSON", 0.5), ("Chinese", 0.25)])
def test_bound_of_text_is_near_its_tokens(name: str, share: float) -> None:
    assert encode
    assert batch_context._bound_text(TEXTS[name]) >= share * len(encode(TEXTS[name]))


@pytest.mark.parametrize("model", [EXACT, BOUNDED])
def test_text_at_the_limit_is_sent_and_a_longer_one_refused(model: str) -> None:
    assert not refuses(TextPart("a " * (LIMIT - 1) + "a"), model=model)
    assert refuses(TextPart("a " * LIMIT + "a a"), model=model)
    assert not refuses(TextPart("a " * LIMIT + "a a"), model=model, tier=None)


def test_error_names_count_limit_and_the_way_out() -> None:
    with pytest.raises(
        QwenVLInputOverflowError, match=r"300,000 input tokens at least.*262,144.*'qwen3.7-plus'"
    ) as caught:
        check_batch_context(build_request(TextPart("a " * 300_000)), describe(BOUNDED))
    assert isinstance(caught.value, QwenVLInputError)
    assert isinstance(caught.value, QwenVLContextOverflowError)
    assert isinstance(caught.value, ValueError)
    assert "fewer" in str(caught.value)


def test_images_are_counted_by_formula_and_urls_are_not() -> None:
    large = ImagePart(InlineSource(solid_image(size=(4096, 4096))))
    count = 128 * 128 + 2  # squares of 32 pixels
    assert not refuses(*[large] * (LIMIT // count))
    assert refuses(*[large] * (LIMIT // count + 1))
    assert not refuses(*[ImagePart(UrlSource("https://example.com/a.png"))] * 2000)


def test_frames_are_counted_by_formula() -> None:
    frame = InlineSource(solid_image(size=(1280, 1280)))
    assert refuses(FramesPart((frame,) * 2000))
    assert not refuses(FramesPart((frame,) * 20))
    assert not refuses(FramesPart((UrlSource("https://example.com/a.png"),) * 2000))
    assert not refuses(FramesPart((frame,) * 2000, total_pixels=100_000_000))  # what the service scales them to
    assert refuses(FramesPart((frame,) * 2000, total_pixels=1_000_000_000))


@pytest.mark.parametrize("model", ["qwen3.9-plus", "my-own-model"])
def test_models_without_a_stated_limit_are_not_checked(model: str) -> None:
    assert not refuses(TextPart("a " * 300_000), model=model)
