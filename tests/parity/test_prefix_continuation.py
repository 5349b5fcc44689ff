"""Answers that were cut off: they say so, and can be continued, in both frameworks and both APIs."""

from __future__ import annotations

import ssl
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
from tests.parity.call_modes import APIS, CALL_MODES, HI, KEY, Api, ModelPair, text_of, told_of

WHOLE = [call_mode for call_mode in CALL_MODES if not call_mode.streamed]
SO_FAR = (
    AIMessage("Es war", additional_kwargs={"partial": True}),
    ChatMessage(role="assistant", content="Es war", additional_kwargs={"partial": True}),
)
every_api = pytest.mark.parametrize("api", APIS)


@pytest.fixture(scope="module", autouse=True)
def quick() -> Iterator[None]:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(retry, "_FIRST_PAUSE", 0.0)
        patch.setattr(ssl.SSLContext, "load_verify_locations", lambda *args, **kwargs: None)
        yield


@pytest.fixture
def asking(emulator: Emulator, api: Api) -> Iterator[ModelPair]:
    made = ModelPair(emulator, api)
    yield made
    made.close()


@every_api
@pytest.mark.parametrize("finish", ["null", "stop"])
def test_an_answer_that_the_service_s_time_limit_cut_says_so(
    finish: str, api: Api, emulator: Emulator, asking: ModelPair
) -> None:
    for call_mode in WHOLE:
        emulator.script(Reply(text="Es war", finish=finish, quirks=Quirks(partial_response=True)))
        answer = asking.ask(call_mode)
        assert text_of(answer) == "Es war"
        assert told_of(answer)["partial_response"] is True, call_mode
        assert told_of(answer)["finish_reason"] == ("length" if finish == "null" else finish), call_mode


@every_api
def test_an_answer_that_the_length_s_limit_cut_says_so(api: Api, emulator: Emulator, asking: ModelPair) -> None:
    for call_mode in CALL_MODES:
        emulator.script(Reply(text=["Es ", "war"], finish="length"))
        answer = asking.ask(call_mode, max_tokens=2)
        assert (text_of(answer), told_of(answer)["finish_reason"]) == ("Es war", "length"), call_mode
        assert "partial_response" not in told_of(answer)


@every_api
def test_a_marked_answer_is_continued_without_thinking(api: Api, emulator: Emulator, asking: ModelPair) -> None:
    for call_mode in CALL_MODES:
        emulator.reset()
        emulator.script(Reply(text=" einmal."))
        answer = asking.ask(call_mode, [HI, SO_FAR], enable_thinking=None)
        assert text_of(answer) == " einmal."
        body: dict[str, Any] = emulator.requests[-1].json
        messages, settings = (
            (body["messages"], body) if api == "openai" else (*body["input"].values(), body["parameters"])
        )
        assert messages[-1]["partial"] is True
        assert messages[-1]["content"] == ("Es war" if api == "openai" else [{"text": "Es war"}])
        assert settings["enable_thinking"] is False
        assert [note for note in told_of(answer)["adjustments"] if "partial" in note and "thinking" in note], call_mode
        assert emulator.refusals == []


@every_api
def test_without_thinking_nothing_is_adjusted(api: Api, emulator: Emulator, asking: ModelPair) -> None:
    for call_mode in CALL_MODES:
        answer = asking.ask(call_mode, [HI, SO_FAR])
        assert "adjustments" not in told_of(answer)


@every_api
def test_a_model_that_always_thinks_can_not_go_on(api: Api, emulator: Emulator, asking: ModelPair) -> None:
    for call_mode in CALL_MODES:
        with pytest.raises(e.QwenVLInputError, match="always thinks"):
            asking.ask(call_mode, [HI, SO_FAR], enable_thinking=None, model="qvq-max")
    assert emulator.requests == []


# --- the recipe -----------------------------------------------------------------------------------------------------

THREE = [
    Fault(reply=Reply(text=["Flat white ", "8.40, ", "lemon tart"]), after=3, reset="after-events"),
    Reply(text="lemon tart 5.20,", finish="length"),
    Reply(text=" water 3.10."),
]


@pytest.fixture
def service(emulator: Emulator, monkeypatch: pytest.MonkeyPatch) -> Emulator:
    monkeypatch.setenv("DASHSCOPE_API_KEY", KEY)
    monkeypatch.setenv("DASHSCOPE_BASE_URL", emulator.compat_url)
    return emulator


# Nobody closes the connections of the model in the example: the process ends then.
@pytest.mark.filterwarnings("ignore::ResourceWarning", "ignore::pytest.PytestUnraisableExceptionWarning")
@pytest.mark.parametrize("example", [langchain_continue, llama_index_continue])
def test_the_examples_go_on_until_the_answer_is_whole(
    example: Any, service: Emulator, capsys: pytest.CaptureFixture[str]
) -> None:
    service.script(*THREE)
    whole = "Flat white 8.40, lemon tart 5.20, water 3.10."
    assert example.main() == whole
    assert whole in capsys.readouterr().out
    sent = [request.json["messages"] for request in service.requests]
    assert [messages[1:] for messages in sent] == [
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
def test_the_examples_do_not_go_on_with_nothing(example: Any, cut: Any, service: Emulator) -> None:
    service.script(cut)
    with suppress(e.QwenVLAuthenticationError):
        assert example.main() == ""
    assert len(service.requests) == 1
