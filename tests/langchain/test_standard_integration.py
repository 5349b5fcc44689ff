"""LangChain's integration tests for chat models: with and without thinking, cassettes and emulator, both APIs."""

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

ANSWERS = SimpleNamespace(responses=["any"])
"""Stand-in for a cassette; the suite checks that it holds responses."""


@contextmanager
def emulated() -> Iterator[Emulator]:
    """Run an emulator that answers the suite's questions, and check that it refused none."""
    with Emulator() as emulator:
        emulator.respond = script_reply
        yield emulator
        assert not emulator.refusals


@contextmanager
def from_cassette(suite: type[Standard], folder: Path) -> Iterator[Any]:
    """Replay the suite's cassette, and check that all of it was used."""
    with replayed(suite.cassette, repeats=True) as cassette:
        yield cassette
        assert cassette.all_played or not suite.is_complete()


@contextmanager
def to_cassette(suite: type[Standard], folder: Path) -> Iterator[Any]:
    """Record the suite's cassette anew: live, if a key is set."""
    with emulated() as emulator:
        live = "DASHSCOPE_API_KEY" in os.environ
        with recorded(path_of(suite.cassette), emulator=None if live else emulator, once=True):
            yield ANSWERS


@contextmanager
def rerecorded(suite: type[Standard], folder: Path) -> Iterator[Any]:
    """Record the emulator again, and check that it answers as in the suite's cassette."""
    if provenance_of(suite.cassette) != "emulator":
        pytest.skip("recorded live")
    file = folder / "again.yaml"
    with emulated() as emulator, recorded(file, emulator=emulator, once=True):
        yield ANSWERS
    if suite.is_complete():
        assert file.read_text(encoding="utf-8") == path_of(suite.cassette).read_text(encoding="utf-8")


@contextmanager
def native(suite: type[Standard], folder: Path) -> Iterator[Any]:
    """Serve the emulator's native API."""
    with emulated() as emulator, environment(DASHSCOPE_API_KEY=REPLAY_KEY, DASHSCOPE_BASE_URL=emulator.native_url):
        yield ANSWERS


@pytest.fixture(scope="class", autouse=True)
def vcr(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Any]:
    """Provide the answers for a class; the suite requests this fixture by name."""
    suite: type[Standard] = request.cls
    suite.ran = set()
    served = to_cassette if request.config.getoption("record") else suite.served
    with ExitStack() as stack:
        suite.finish = stack.close
        yield stack.enter_context(served(suite, tmp_path_factory.mktemp("standard")))


@pytest.fixture(autouse=True)
def record_run(request: pytest.FixtureRequest) -> None:
    """Record the name of each test that ran."""
    request.cls.ran.add(request.node.originalname)


@pytest.fixture(autouse=True)
def no_downloads(monkeypatch: pytest.MonkeyPatch) -> None:
    """Replace the image and the PDF that the suite downloads, and make its random ids constant."""

    def get(url: str, **keywords: Any) -> Any:
        return SimpleNamespace(content=scan(1) if url.endswith(".pdf") else png(64, 48))

    monkeypatch.setattr(chat_models, "httpx", SimpleNamespace(get=get))
    monkeypatch.setattr(function_calling, "uuid", SimpleNamespace(uuid4=lambda: UUID(int=4)))


class Standard(ChatModelIntegrationTests):
    """The suite for this model. Only the audio tests are skipped: Qwen-VL takes no audio."""

    cassette: ClassVar[str]
    thinks: ClassVar[bool]
    api: ClassVar[str] = "openai"
    served: ClassVar[Callable[[type[Standard], Path], AbstractContextManager[Any]]]
    ran: ClassVar[set[str]]
    finish: ClassVar[Callable[[], None]]

    @classmethod
    def is_complete(cls) -> bool:
        """Return whether all tests of the class have run, not only selected ones."""
        return cls.ran >= {name for name in dir(cls) if name.startswith("test_")}

    @pytest.fixture
    def model(self, request: Any) -> Iterator[BaseChatModel]:
        """Create the model like the suite does, and close it after the test."""
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

    def test_cassette_is_used_completely_and_is_up_to_date(self, request: pytest.FixtureRequest) -> None:
        """Check the cassette in the last test; a failure is reproduced by the whole class only."""
        if not self.is_complete():
            assert not request.config.getoption("lf"), "run the whole class"
            pytest.skip("only selected tests have run")
        type(self).finish()


class TestThinking(Standard):
    """The model with default settings."""

    cassette = "standard_thinking"
    thinks = True
    served = from_cassette


class TestNotThinking(Standard):
    """A hybrid model that does not think."""

    cassette = "standard_not_thinking"
    thinks = False
    served = from_cassette


class TestThinkingRerecorded(TestThinking):
    """The emulator compared with the cassette."""

    served = rerecorded


class TestNotThinkingRerecorded(TestNotThinking):
    """The emulator compared with the cassette."""

    served = rerecorded


class TestThinkingNatively(TestThinking):
    """The vendor's native API."""

    api = "dashscope"
    served = native


class TestNotThinkingNatively(TestNotThinking):
    """The vendor's native API."""

    api = "dashscope"
    served = native
