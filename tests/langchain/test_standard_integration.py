"""LangChain's own integration tests for chat models: thinking and not, on cassettes and on the emulator, both APIs."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, ExitStack, contextmanager
from pathlib import Path
from types import SimpleNamespace
from typing import Any, ClassVar
from uuid import UUID

import pytest
from langchain_core.language_models import BaseChatModel
from langchain_core.messages import AIMessage, AIMessageChunk
from langchain_core.utils import function_calling
from langchain_tests.integration_tests import ChatModelIntegrationTests, chat_models

from langchain_qwenvl import ChatQwenVL
from tests.emulator import Emulator
from tests.langchain.conftest import png
from tests.langchain.test_responses import total
from tests.support.scanned_pages import scan
from tests.support.standard_suite_replies import LONG, LONG_AGAIN, script_reply
from tests.support.vcr_config import REPLAY_KEY, environment, path_of, provenance_of, recorded, replayed

ANSWERS = SimpleNamespace(responses=["at hand"])
"""Instead of a cassette, which the suite asks whether it holds any."""


@contextmanager
def emulated() -> Iterator[Emulator]:
    """An emulator that knows the suite's questions, and has refused none of them."""
    with Emulator() as emulator:
        emulator.respond = script_reply
        yield emulator
        assert not emulator.refusals


@contextmanager
def from_cassette(suite: type[Standard], folder: Path) -> Iterator[Any]:
    """The suite's cassette, of which nothing stays unused."""
    with replayed(suite.cassette, repeats=True) as cassette:
        yield cassette
        assert cassette.all_played or not suite.whole()


@contextmanager
def to_cassette(suite: type[Standard], folder: Path) -> Iterator[Any]:
    """The suite's cassette as it is written anew: live, where there is a key."""
    with emulated() as emulator:
        live = "DASHSCOPE_API_KEY" in os.environ
        with recorded(path_of(suite.cassette), emulator=None if live else emulator, once=True):
            yield ANSWERS


@contextmanager
def recorded_again(suite: type[Standard], folder: Path) -> Iterator[Any]:
    """The emulator, which still says what is in the suite's cassette."""
    if provenance_of(suite.cassette) != "emulator":
        pytest.skip("recorded live")
    again = folder / "again.yaml"
    with emulated() as emulator, recorded(again, emulator=emulator, once=True):
        yield ANSWERS
    if suite.whole():
        assert again.read_text(encoding="utf-8") == path_of(suite.cassette).read_text(encoding="utf-8")


@contextmanager
def native(suite: type[Standard], folder: Path) -> Iterator[Any]:
    """The emulator's native API."""
    with emulated() as emulator, environment(DASHSCOPE_API_KEY=REPLAY_KEY, DASHSCOPE_BASE_URL=emulator.native_url):
        yield ANSWERS


@pytest.fixture(scope="class", autouse=True)
def vcr(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Any]:
    """Where a class gets its answers from; the suite asks for it by this name."""
    suite: type[Standard] = request.cls
    suite.ran = set()
    served = to_cassette if request.config.getoption("record") else suite.served
    with ExitStack() as stack:
        suite.finish = stack.close
        yield stack.enter_context(served(suite, tmp_path_factory.mktemp("standard")))


@pytest.fixture(autouse=True)
def noted(request: pytest.FixtureRequest) -> None:
    """Each test notes that it ran."""
    request.cls.ran.add(request.node.originalname)


@pytest.fixture(autouse=True)
def nothing_is_fetched(monkeypatch: pytest.MonkeyPatch) -> None:
    """The suite fetches a picture and a PDF: it gets ours. And the ids that it makes up are the same each time."""

    def get(url: str, **keywords: Any) -> Any:
        return SimpleNamespace(content=scan(1) if url.endswith(".pdf") else png(64, 48))

    monkeypatch.setattr(chat_models, "httpx", SimpleNamespace(get=get))
    monkeypatch.setattr(function_calling, "uuid", SimpleNamespace(uuid4=lambda: UUID(int=4)))


class Standard(ChatModelIntegrationTests):
    """The suite for this model. Skipped are audio, which Qwen-VL takes none of, and nothing else."""

    cassette: ClassVar[str]
    thinks: ClassVar[bool]
    api: ClassVar[str] = "openai"
    served: ClassVar[Callable[[type[Standard], Path], AbstractContextManager[Any]]]
    ran: ClassVar[set[str]]
    finish: ClassVar[Callable[[], None]]

    @classmethod
    def whole(cls) -> bool:
        """Whether all tests of the class have run, and not only chosen ones."""
        return cls.ran >= {name for name in dir(cls) if name.startswith("test_")}

    @pytest.fixture
    def model(self, request: Any) -> Iterator[BaseChatModel]:
        """As the suite's own, but closed afterwards."""
        model = ChatQwenVL(**{**self.chat_model_params, **(getattr(request, "param", None) or {})})
        yield model
        model.close()

    @property
    def chat_model_class(self) -> type[BaseChatModel]:
        return ChatQwenVL

    @property
    def chat_model_params(self) -> dict[str, Any]:
        thinking = {} if self.thinks else {"enable_thinking": False}  # thinking is the default
        return {"model": "qwen3-vl-plus", "api": self.api, **thinking}

    supports_image_inputs = True
    supports_image_urls = True
    supports_image_tool_message = True
    supports_pdf_inputs = True
    supports_pdf_tool_message = True
    supports_video_inputs = True
    supports_audio_inputs = False
    supports_anthropic_inputs = True
    supports_json_mode = True
    enable_vcr_tests = True
    supports_model_override = True
    model_override_value = "qwen3-vl-flash"

    @property
    def supported_usage_metadata_details(self) -> Any:
        details = ["cache_read_input", *(["reasoning_output"] if self.thinks else [])]
        return {"invoke": details, "stream": details}

    def invoke_with_reasoning_output(self, *, stream: bool = False) -> AIMessage:
        return self._answer("Which day comes after Monday?", stream=stream)

    def invoke_with_cache_read_input(self, *, stream: bool = False) -> AIMessage:
        self._answer(LONG, stream=stream)
        return self._answer(LONG_AGAIN, stream=stream)

    def _answer(self, question: str, *, stream: bool) -> AIMessage:
        model = ChatQwenVL(**self.chat_model_params)
        answer: AIMessage | AIMessageChunk = total(model.stream(question)) if stream else model.invoke(question)
        model.close()
        assert bool(answer.additional_kwargs.get("reasoning_content")) is self.thinks
        return answer

    def test_all_of_its_answers_are_used_and_as_of_today(self, request: pytest.FixtureRequest) -> None:
        """The last one to run. What failed in it can't be told by running it once more alone."""
        if not self.whole():
            assert not request.config.getoption("lf"), "run the whole class"
            pytest.skip("only chosen tests have run")
        type(self).finish()


class TestThinking(Standard):
    """As the model is by default."""

    cassette = "standard_thinking"
    thinks = True
    served = from_cassette


class TestNotThinking(Standard):
    """A hybrid model with its thinking off."""

    cassette = "standard_not_thinking"
    thinks = False
    served = from_cassette


class TestThinkingAgain(TestThinking):
    """As it was recorded."""

    served = recorded_again


class TestNotThinkingAgain(TestNotThinking):
    """As it was recorded."""

    served = recorded_again


class TestThinkingNatively(TestThinking):
    """Over the vendor's own API."""

    api = "dashscope"
    served = native


class TestNotThinkingNatively(TestNotThinking):
    """Over the vendor's own API."""

    api = "dashscope"
    served = native
