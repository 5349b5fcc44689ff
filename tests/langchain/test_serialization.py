"""Models are serialized, copied, pickled, and distinguished by LangChain's cache."""

from __future__ import annotations

import copy
import importlib
import io
import pickle
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from langchain_core.caches import InMemoryCache
from langchain_core.globals import set_llm_cache
from langchain_core.load import dumpd, dumps, load, loads
from langchain_core.messages import HumanMessage
from langchain_core.runnables import ConfigurableField
from langchain_core.runnables.configurable import RunnableConfigurableFields

from langchain_qwenvl import ChatQwenVL
from langchain_qwenvl.serialization import register_serializable
from tests.emulator import Emulator, Reply
from tests.langchain.conftest import KEY, Make, png

# One value other than the default for every keyword that shapes a request.
SHAPING: dict[str, Any] = {
    "model": "qwen3-vl-flash",
    "enable_thinking": False,
    "thinking_budget": 100,
    "preserve_thinking": True,
    "fold_system_prompt": True,
    "forced_output": "ask",
    "vl_high_resolution_images": True,
    "min_pixels": 5000,
    "max_pixels": 700000,
    "fps": 0.5,
    "media_policy": "fit",
    "temperature": 0.0,
    "top_p": 0.5,
    "top_k": 0,
    "max_tokens": 99,
    "stop": ["END"],
    "seed": 0,
    "presence_penalty": 0.0,
    "repetition_penalty": 1.1,
    "logprobs": False,
    "top_logprobs": 0,
    "extra_body": {"enable_search": True},
}
CONNECTION: dict[str, Any] = {"region": "singapore", "workspace": "ws-1", "timeout": 9.0, "max_retries": 0}


def revive(dumped: Any) -> ChatQwenVL:
    model = load(
        dumped, valid_namespaces=["langchain_qwenvl"], allowed_objects="all", secrets_map={"DASHSCOPE_API_KEY": KEY}
    )
    assert isinstance(model, ChatQwenVL)
    return model


@pytest.mark.filterwarnings("ignore:The function `loads?` is in beta")  # LangChain's warning on its loader
class TestSerialization:
    @pytest.mark.parametrize("name", [*SHAPING, *CONNECTION])
    def test_load_restores_every_field(self, name: str) -> None:
        value = (SHAPING | CONNECTION)[name]
        again = revive(dumpd(ChatQwenVL(**{"api_key": KEY, name: value})))
        assert getattr(again, name) == value
        assert again.api_key is not None
        assert again.api_key.get_secret_value() == KEY

    def test_dumps_and_loads_restore_the_model(self) -> None:
        model = ChatQwenVL(api_key=KEY, temperature=0.25, stop="END")
        text = dumps(model)
        assert KEY not in text
        again = loads(
            text, valid_namespaces=["langchain_qwenvl"], allowed_objects="all", secrets_map={"DASHSCOPE_API_KEY": KEY}
        )
        assert again.asdict() == model.asdict()

    def test_id_is_the_path_of_the_class(self) -> None:
        assert dumpd(ChatQwenVL())["id"] == ["langchain_qwenvl", "chat_models", "ChatQwenVL"]

    def test_load_keeps_whether_thinking_was_set(self, make: Make, emulator: Emulator, body: Any) -> None:
        """A model that is not in the catalog is sent a user's value only."""
        emulator.known_models = frozenset({"my-model"})
        keywords: dict[str, Any]
        for keywords, is_sent in (({}, False), ({"enable_thinking": True}, True)):
            model = make(model="my-model", **keywords)
            again = revive(dumpd(model))
            again.invoke("Hi")
            again.close()
            assert ("enable_thinking" in body()) == is_sent


def test_pickle_omits_the_key_and_reads_the_environment(
    monkeypatch: pytest.MonkeyPatch, llm: ChatQwenVL, emulator: Emulator
) -> None:
    monkeypatch.setenv("DASHSCOPE_BASE_URL", emulator.compat_url)  # else its host gets no key of the environment
    llm.invoke("Hi")  # opens connections
    data = pickle.dumps(llm)
    assert KEY.encode() not in data
    assert pickle.loads(data).api_key is None
    monkeypatch.setenv("DASHSCOPE_API_KEY", "sk-elsewhere")
    again = pickle.loads(data)
    assert again.api_key.get_secret_value() == "sk-elsewhere"
    assert again.invoke("Hi").content == llm.invoke("Hi").content
    again.close()


@pytest.mark.parametrize(
    "copied",
    [copy.copy, copy.deepcopy, lambda model: model.model_copy(), lambda model: model.model_copy(deep=True)],
    ids=["copy", "deepcopy", "model_copy", "model_copy deep"],
)
def test_copy_keeps_key_and_http_client(copied: Callable[[Any], Any], make: Make) -> None:
    import openai

    with openai.DefaultHttpxClient() as client:
        model = make(http_client=client)
        again = copied(model)
        assert again.api_key.get_secret_value() == KEY
        assert again.http_client is client
        assert again.invoke("Hi").content


def test_deepcopy_copies_settings(make: Make) -> None:
    model = make(extra_body={"ocr_options": {"task": "text"}})
    again = copy.deepcopy(model)
    assert again.extra_body == model.extra_body
    assert again.extra_body is not model.extra_body


def test_model_copy_uses_the_changed_endpoint(make: Make, emulator: Emulator) -> None:
    model = make()
    model.invoke("Hi")
    other = model.model_copy(update={"base_url": emulator.self_hosted_url, "temperature": 0.5})
    other.invoke("Hi")
    model.invoke("Hi")
    other.close()
    assert [request.route for request in emulator.requests] == [
        "/compatible-mode/v1/chat/completions",
        "/v1/chat/completions",
        "/compatible-mode/v1/chat/completions",
    ]
    assert [request.json.get("temperature") for request in emulator.requests] == [None, 0.5, None]


class TestCache:
    """LangChain's global cache must not return the answer of another request."""

    @pytest.fixture(autouse=True)
    def cache(self) -> None:
        set_llm_cache(InMemoryCache())

    def count_requests(self, emulator: Emulator, *calls: Callable[[], Any]) -> int:
        """Return how many of the calls sent a request."""
        before = len(emulator.requests)
        for call in calls:
            call()
        return len(emulator.requests) - before

    def test_same_request_is_sent_once(self, make: Make, emulator: Emulator) -> None:
        first, second = make(), make()
        assert (
            self.count_requests(
                emulator, lambda: first.invoke("Hi"), lambda: first.invoke("Hi"), lambda: second.invoke("Hi")
            )
            == 1
        )

    def test_cached_answer_is_complete(self, llm: ChatQwenVL, emulator: Emulator) -> None:
        emulator.script(Reply(reasoning="Hm.", text="Yes."))
        first, second = llm.invoke("Hi"), llm.invoke("Hi")
        assert second.content == "Yes."
        assert second.content_blocks == first.content_blocks
        assert second.response_metadata == first.response_metadata

    @pytest.mark.parametrize("name", SHAPING)
    def test_field_changes_the_cache_key(self, name: str, make: Make) -> None:
        model, other = make(), make(**{name: SHAPING[name]})
        assert model._get_llm_string() != other._get_llm_string()

    @pytest.mark.parametrize("name", SHAPING)
    def test_call_keyword_changes_the_cache_key(self, name: str, make: Make, emulator: Emulator) -> None:
        value = SHAPING[name]
        model = make()
        calls = (lambda: model.invoke("Hi"), lambda: model.invoke("Hi", **{name: value}))
        assert self.count_requests(emulator, *calls, *calls) == 2

    @pytest.mark.parametrize("name", SHAPING)
    def test_changed_copy_has_another_cache_key(self, name: str, make: Make, emulator: Emulator) -> None:
        model = make()
        model.invoke("Hi")
        assert self.count_requests(emulator, lambda: model.model_copy(update={name: SHAPING[name]}).invoke("Hi")) == 1

    def test_assigned_field_changes_the_cache_key(self, make: Make, emulator: Emulator) -> None:
        model = make()
        model.invoke("Hi")
        model.temperature = 0.1
        assert self.count_requests(emulator, lambda: model.invoke("Hi")) == 1

    def test_endpoint_changes_the_cache_key(self, make: Make, emulator: Emulator) -> None:
        model, other = make(), make(base_url=emulator.self_hosted_url)
        assert self.count_requests(emulator, lambda: model.invoke("Hi"), lambda: other.invoke("Hi")) == 2

    def test_images_are_compared_by_content(self, llm: ChatQwenVL, emulator: Emulator, tmp_path: Path) -> None:
        from PIL import Image

        def ask_about(image: Any) -> Callable[[], Any]:
            return lambda: llm.invoke([HumanMessage([{"type": "image", "url": image}])])

        images = [png(grey=1), png(grey=2)]
        for form in (
            bytes,
            bytearray,
            memoryview,
            io.BytesIO,
            lambda data: Image.open(io.BytesIO(data)),
        ):
            # Created anew each time, possibly at the memory address of the previous object.
            for _ in range(2):
                for image in images:
                    ask_about(form(image))()
        assert len(emulator.requests) == 2 + 2  # the bytes in any form, and the PNG that Pillow writes

    def test_video_frames_change_the_cache_key(self, llm: ChatQwenVL, emulator: Emulator) -> None:
        for _ in range(2):
            for grey in (1, 2):
                frames = [io.BytesIO(png(grey=grey)) for _ in range(4)]
                llm.invoke([HumanMessage([{"type": "video", "video": frames}])])
        assert len(emulator.requests) == 2


@pytest.mark.filterwarnings("ignore:The function `loads?` is in beta")
def test_configurable_model_is_serialized_as_langchains_class() -> None:
    model = ChatQwenVL(api_key="sk-a").configurable_fields(temperature=ConfigurableField(id="t"))
    text = dumps(model)
    assert "sk-a" not in text
    again = loads(text, allowed_objects="all", valid_namespaces=["langchain_qwenvl"])
    assert isinstance(again, RunnableConfigurableFields)
    assert isinstance(again.default, ChatQwenVL)


class TestRegistration:
    """The patch of langchain-core's table; see `langchain_qwenvl.serialization`."""

    PATH = ("langchain_qwenvl", "chat_models", "ChatQwenVL")

    @pytest.fixture
    def loader(self, monkeypatch: pytest.MonkeyPatch) -> Any:
        """Return langchain-core's loader with a table of its own and an empty cache."""
        loader = importlib.import_module("langchain_core.load.load")
        monkeypatch.setattr(loader, "ALL_SERIALIZABLE_MAPPINGS", dict(loader.ALL_SERIALIZABLE_MAPPINGS))
        monkeypatch.setattr(loader, "_default_class_paths_cache", {})
        return loader

    def test_table_without_our_entry_refuses_the_model(self, loader: Any) -> None:
        """When this fails, langchain-core revives the model by itself: delete `langchain_qwenvl/serialization.py`."""
        del loader.ALL_SERIALIZABLE_MAPPINGS[self.PATH]
        with pytest.raises(ValueError, match="not allowed"):
            loader.Reviver("all", valid_namespaces=["langchain_qwenvl"])(dumpd(ChatQwenVL()))

    def test_explicit_class_needs_no_entry(self, loader: Any) -> None:
        del loader.ALL_SERIALIZABLE_MAPPINGS[self.PATH]
        reviver = loader.Reviver([ChatQwenVL], valid_namespaces=["langchain_qwenvl"])
        assert isinstance(reviver(dumpd(ChatQwenVL(temperature=0.5))), ChatQwenVL)

    def test_entry_is_added_to_a_filled_cache(self, loader: Any) -> None:
        del loader.ALL_SERIALIZABLE_MAPPINGS[self.PATH]
        assert self.PATH not in loader.Reviver("all").allowed_class_paths
        register_serializable(ChatQwenVL)
        assert self.PATH in loader.Reviver("all").allowed_class_paths

    @pytest.mark.parametrize("name", ["ALL_SERIALIZABLE_MAPPINGS", "_default_class_paths_cache"])
    def test_changed_langchain_core_is_no_error(self, name: str, loader: Any, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(loader, name, ())
        register_serializable(ChatQwenVL)
        monkeypatch.delattr(loader, name)
        register_serializable(ChatQwenVL)
