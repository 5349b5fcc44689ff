"""Test that truncated answers are marked and can be continued, in both frameworks and both APIs."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import suppress
from typing import Any

import pytest
from langchain_core.messages import AIMessage
from llama_index.core.base.llms.types import ChatMessage

from examples import langchain_continue, llama_index_continue
from qwenvl_core import errors as e
from qwenvl_core.transport import retry
from tests.emulator import Emulator, Fault, Quirks, Reply
from tests.parity.call_modes import APIS, CALL_MODES, HI, Api, ModelPair, metadata_of, text_of
from tests.support.model_factories import KEY

WHOLE = [call_mode for call_mode in CALL_MODES if not call_mode.streamed]
PARTIAL_ANSWER = (
    AIMessage("Es war", additional_kwargs={"partial": True}),
    ChatMessage(role="assistant", content="Es war", additional_kwargs={"partial": True}),
)
every_api = pytest.mark.parametrize("api", APIS)


@pytest.fixture(scope="module", autouse=True)
def fast_clients() -> Iterator[None]:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(retry, "_FIRST_DELAY", 0.0)
        yield


@pytest.fixture
def pair(emulator: Emulator, api: Api) -> Iterator[ModelPair]:
    models = ModelPair(emulator, api)
    yield models
    models.close()


@every_api
@pytest.mark.parametrize("finish", ["null", "stop"])
def test_answer_cut_by_time_limit_is_marked_partial(finish: str, api: Api, emulator: Emulator, pair: ModelPair) -> None:
    for call_mode in WHOLE:
        emulator.script(Reply(text="Es war", finish=finish, quirks=Quirks(partial_response=True)))
        answer = pair.send(call_mode)
        assert text_of(answer) == "Es war"
        assert metadata_of(answer)["partial_response"] is True, call_mode
        assert metadata_of(answer)["finish_reason"] == ("length" if finish == "null" else finish), call_mode


@every_api
def test_answer_cut_by_max_tokens_has_finish_reason_length(api: Api, emulator: Emulator, pair: ModelPair) -> None:
    for call_mode in CALL_MODES:
        emulator.script(Reply(text=["Es ", "war"], finish="length"))
        answer = pair.send(call_mode, max_tokens=2)
        assert (text_of(answer), metadata_of(answer)["finish_reason"]) == ("Es war", "length"), call_mode
        assert "partial_response" not in metadata_of(answer)


@every_api
def test_partial_message_is_continued_without_thinking(api: Api, emulator: Emulator, pair: ModelPair) -> None:
    for call_mode in CALL_MODES:
        emulator.reset()
        emulator.script(Reply(text=" einmal."))
        answer = pair.send(call_mode, [HI, PARTIAL_ANSWER], enable_thinking=None)
        assert text_of(answer) == " einmal."
        body: dict[str, Any] = emulator.requests[-1].json
        messages, settings = (
            (body["messages"], body) if api == "openai" else (*body["input"].values(), body["parameters"])
        )
        assert messages[-1]["partial"] is True
        assert messages[-1]["content"] == ("Es war" if api == "openai" else [{"text": "Es war"}])
        assert settings["enable_thinking"] is False
        assert [note for note in metadata_of(answer)["adjustments"] if "partial" in note and "thinking" in note], (
            call_mode
        )
        assert emulator.refusals == []


@every_api
def test_partial_message_without_thinking_makes_no_adjustment(api: Api, emulator: Emulator, pair: ModelPair) -> None:
    for call_mode in CALL_MODES:
        answer = pair.send(call_mode, [HI, PARTIAL_ANSWER])
        assert "adjustments" not in metadata_of(answer)


@every_api
def test_partial_message_for_always_thinking_model_raises_input_error(
    api: Api, emulator: Emulator, pair: ModelPair
) -> None:
    for call_mode in CALL_MODES:
        with pytest.raises(e.QwenVLInputError, match="always thinks"):
            pair.send(call_mode, [HI, PARTIAL_ANSWER], enable_thinking=None, model="qvq-max")
    assert emulator.requests == []


# --- the examples ---------------------------------------------------------------------------------------------------

INTERRUPTED_REPLIES: list[Reply | Fault] = [
    Fault(reply=Reply(text=["Flat white ", "8.40, ", "lemon tart"]), after=3, reset="after-events"),
    Reply(text="lemon tart 5.20,", finish="length"),
    Reply(text=" water 3.10."),
]


@pytest.fixture
def service(emulator: Emulator, monkeypatch: pytest.MonkeyPatch) -> Emulator:
    monkeypatch.setenv("DASHSCOPE_API_KEY", KEY)
    monkeypatch.setenv("DASHSCOPE_BASE_URL", emulator.compat_url)
    return emulator


# The example leaves the connections of its model open until the process ends.
@pytest.mark.filterwarnings("ignore::ResourceWarning", "ignore::pytest.PytestUnraisableExceptionWarning")
@pytest.mark.parametrize("example", [langchain_continue, llama_index_continue])
def test_continue_example_completes_interrupted_answer(
    example: Any, service: Emulator, capsys: pytest.CaptureFixture[str]
) -> None:
    service.script(*INTERRUPTED_REPLIES)
    whole = "Flat white 8.40, lemon tart 5.20, water 3.10."
    assert example.main() == whole
    assert whole in capsys.readouterr().out
    conversations = [request.json["messages"] for request in service.requests]
    assert [messages[1:] for messages in conversations] == [
        [],
        [{"role": "assistant", "content": "Flat white 8.40, ", "partial": True}],
        [{"role": "assistant", "content": "Flat white 8.40, lemon tart 5.20,", "partial": True}],
    ]
    assert [request.json["enable_thinking"] for request in service.requests] == [True, False, False]
    assert service.refusals == []


@pytest.mark.filterwarnings("ignore::ResourceWarning", "ignore::pytest.PytestUnraisableExceptionWarning")
@pytest.mark.parametrize("example", [langchain_continue, llama_index_continue])
@pytest.mark.parametrize(
    "cut", [Reply(reasoning="Hm.", text="", finish="length"), Fault(status=401)], ids=["none", "401"]
)
def test_continue_example_with_empty_answer_stops(example: Any, cut: Any, service: Emulator) -> None:
    service.script(cut)
    with suppress(e.QwenVLAuthenticationError):
        assert example.main() == ""
    assert len(service.requests) == 1
