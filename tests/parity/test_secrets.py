"""Neither framework nor API lets the key or a medium out, reads what no user named, or asks another host."""

from __future__ import annotations

import base64
import json
import logging
import pickle
import random
import ssl
import sys
import traceback
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from langchain_core.callbacks import BaseCallbackHandler
from langchain_core.load import dumpd, dumps
from langchain_core.messages import AIMessage, HumanMessage, SystemMessage, ToolMessage
from llama_index.core.base.llms.types import ChatMessage, ImageBlock, MessageRole, TextBlock, ToolCallBlock
from llama_index.core.callbacks import CallbackManager
from llama_index.core.instrumentation import get_dispatcher
from llama_index.core.instrumentation.event_handlers import BaseEventHandler
from pydantic import PrivateAttr

from qwenvl_core import errors as e
from qwenvl_core.transport import retry
from tests.emulator import Emulator, Fault, Reply
from tests.llama_index.test_stream_callbacks import _Callbacks
from tests.parity.call_modes import APIS, CALL_MODES, HI, KEY, Api, CallMode, ModelPair, Raw
from tests.support.pipeline import png
from tests.support.raw_server import head, raw_server

PICTURE = png() + random.Random(1).randbytes(3000)
BASE64 = base64.b64encode(PICTURE).decode()
# As text and as a representation of bytes; enough of it to be nothing else.
MEDIUM = (BASE64[300:360], repr(PICTURE[2000:2030])[2:-1])
ASK = (
    HumanMessage([{"type": "text", "text": "What?"}, {"type": "image", "base64": BASE64, "mime_type": "image/png"}]),
    ChatMessage(role="user", blocks=[TextBlock(text="What?"), ImageBlock(image=PICTURE)]),
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
    made = ModelPair(emulator, api, timeout=5.0, default_headers={"X-Secret": "header-secret"})
    yield made
    made.close()


@pytest.fixture
def logged(caplog: pytest.LogCaptureFixture) -> pytest.LogCaptureFixture:
    for name in ("", "openai", "httpx", "httpx2", "httpcore", "httpcore2", "dashscope", "asyncio"):
        caplog.set_level(logging.DEBUG, logger=name)
    return caplog


# --- the key and the media ------------------------------------------------------------------------------------------


@every_api
def test_what_a_model_says_of_itself(api: Api, asking: ModelPair) -> None:
    for call_mode in CALL_MODES:
        asking.ask(call_mode)
    chain, index = asking.langchain, asking.llama_index
    said = [
        repr(chain), str(chain), dumps(chain), repr(dumpd(chain)), repr(chain.model_dump()), chain.model_dump_json(),
        repr(chain._identifying_params), repr(chain._get_ls_params()), repr(chain._get_invocation_params()),
        repr(index), str(index), repr(index.to_dict()), index.to_json(), repr(index.model_dump()),
        index.model_dump_json(), repr(index.to_payload()), repr(index.metadata), repr(index.model_copy(deep=True)),
        *(repr(model._client) + repr(vars(model._client)) for model in (chain, index)),
    ]  # fmt: skip
    assert not [text for text in said if KEY in text or "header-secret" in text]
    pickles = [pickle.dumps(model) for model in (chain, index)]  # which keep the caller's headers
    assert not [data for data in pickles if KEY.encode() in data]


FAILURES = [
    Fault(status=401),
    Fault(status=500),
    Fault(reset="before-headers"),
    Fault(non_json_200=True),
    Fault(reply=Reply(text=["So", " far", "."]), after=2, reset="after-events"),
]


@every_api
def test_what_a_failure_says(api: Api, asking: ModelPair, emulator: Emulator, logged: pytest.LogCaptureFixture) -> None:
    said: list[str] = []
    for fault in FAILURES:
        emulator.respond = lambda request, fault=fault: fault  # type: ignore[misc]
        for call_mode in CALL_MODES:
            error = failure(asking, call_mode)
            said += said_of(error)
            with_values = traceback.TracebackException.from_exception(error, capture_locals=True)
            # The caller's own messages are among the values of variables; the key is not.
            assert not [line for line in with_values.format() if "qwenvl" in line and KEY in line]
    assert logged.records
    said.append(logged.text)
    assert not [text for text in said for secret in (KEY, "header-secret", *MEDIUM) if secret in text]


def failure(asking: ModelPair, call_mode: CallMode) -> e.QwenVLError:
    with pytest.raises(e.QwenVLError) as caught:
        asking.ask(call_mode, [ASK])
    return caught.value


_OF_HTTP = ("request", "_request", "response")


def said_of(error: e.QwenVLError) -> list[str]:
    texts = [*traceback.format_exception(error), str(error), repr(error), repr(vars(error)), repr(pickle.dumps(error))]
    told: BaseException | None = error
    while told is not None:  # some libraries send causes to other processes, and what these hold
        texts += [repr(pickle.dumps(held)) for name, held in vars(told).items() if name in _OF_HTTP]
        told = told.__cause__ or told.__context__
    return texts


ECHO = {"loc": ["body"], "input": {"authorization": f"Bearer {KEY}", "url": f"data:image/png;base64,{BASE64}"}}
ECHOES = [
    json.dumps({"detail": [ECHO]}),
    json.dumps({"error": {"message": f"Incorrect API key {KEY} for {BASE64}", "code": "invalid_api_key"}}),
    json.dumps({"code": "InvalidApiKey", "message": f"Incorrect API key {KEY}", "echo": BASE64}),
    json.dumps({"code": f"No{KEY}", "message": "No.", "request_id": f"of {KEY}"}),
    f"<html>{KEY} {BASE64}",
    f"No: {KEY} {BASE64}",
]


@every_api
@pytest.mark.parametrize("status", ["422 Unprocessable Entity", "401 Unauthorized", "200 OK"])
def test_a_server_that_repeats_the_request(status: str, api: Api) -> None:
    """Also in what the SDK's own error says, which is the cause of ours."""
    answers = [[head(f"Content-Length: {len(body)}", status=status, kind="application/json") + body.encode()]
               for body in ECHOES]  # fmt: skip
    with raw_server(*answers) as server:
        asking = ModelPair(Raw(server.url), api, max_retries=0)
        call_every_mode = [call_mode for call_mode in CALL_MODES if call_mode.odd == (api == "openai")]
        said = [text for _ in ECHOES for call_mode in call_every_mode for text in said_of(failure(asking, call_mode))]
        asking.close()
    assert not [text for text in said for secret in (KEY, *MEDIUM) if secret in text]


class _Everything(BaseCallbackHandler):
    raise_error = True

    def __init__(self) -> None:
        self.told: list[str] = []

    def on_chat_model_start(self, serialized: Any, messages: Any, **kwargs: Any) -> None:
        self.told.append(repr((serialized, kwargs)))  # the messages are LangChain's to show

    def on_llm_new_token(self, *args: Any, **kwargs: Any) -> None:
        self.told.append(repr((args, kwargs)))

    on_llm_end = on_llm_error = on_llm_new_token


class _Events(BaseEventHandler):
    _told: list[str] = PrivateAttr(default_factory=list)

    @classmethod
    def class_name(cls) -> str:
        return "Everything"

    def handle(self, event: Any, **kwargs: Any) -> None:
        self._told.append(repr(event.model_dump(exclude={"messages"})))


@every_api
def test_what_callbacks_and_tracers_are_told(api: Api, asking: ModelPair, emulator: Emulator) -> None:
    callbacks, older, events, dispatcher = _Everything(), _Callbacks(), _Events(), get_dispatcher()
    asking.langchain.callbacks = [callbacks]
    asking.llama_index.callback_manager = CallbackManager([older])
    dispatcher.add_event_handler(events)
    try:
        for call_mode in CALL_MODES:
            asking.ask(call_mode, [ASK])
            emulator.script(Fault(status=401))
            with pytest.raises(e.QwenVLAuthenticationError):
                asking.ask(call_mode, [ASK])
    finally:
        dispatcher.event_handlers.remove(events)
    beside = [{name: value for name, value in (told or {}).items() if name != "messages"} for told in older.payloads]
    said = [*callbacks.told, *map(repr, beside), *events._told]
    assert len(callbacks.told) >= 16
    assert len(events._told) >= 16
    assert not [text for text in said for secret in (KEY, "header-secret", *MEDIUM) if secret in text]


# --- the disk and other hosts ---------------------------------------------------------------------------------------

Seen = list[tuple[str, str]]
_watching: list[Seen] = []


def _watch(event: str, args: tuple[Any, ...]) -> None:
    if _watching and event == "open":
        _watching[-1].append((event, str(args[0])))
    elif _watching and event in ("socket.connect", "socket.getaddrinfo"):
        told = args[1] if event == "socket.connect" else args
        _watching[-1].append((event, str(told[0]) if isinstance(told, tuple) else str(told)))


@pytest.fixture(scope="module")
def _hooked() -> None:
    sys.addaudithook(_watch)  # the interpreter's own record of what is opened; a hook can't be taken off again


@pytest.fixture
def seen(_hooked: None) -> Iterator[Seen]:
    """What is opened and connected to in a test."""
    _watching.append([])
    yield _watching[-1]
    _watching.pop()


CALL = (
    AIMessage("", tool_calls=[{"id": "c1", "name": "look", "args": {}}]),
    ChatMessage(role="assistant", blocks=[ToolCallBlock(tool_call_id="c1", tool_name="look", tool_kwargs={})]),
)


def messages(path: Path, role: str, how: str) -> list[tuple[Any, Any]]:
    """A conversation in which a message of `role` names a file."""
    url = {"path": str(path), "url": path.as_uri()}[how]
    block: dict[str, Any] = {"type": "image", "url": url}
    shown = ImageBlock.model_construct(url=url, block_type="image")  # as an integration may have it, unvalidated
    if role == "tool":
        result = ChatMessage(role=MessageRole.TOOL, blocks=[shown], additional_kwargs={"tool_call_id": "c1"})
        return [HI, CALL, (ToolMessage([block], tool_call_id="c1"), result)]
    said = {"user": HumanMessage, "assistant": AIMessage, "system": SystemMessage}[role]([block])
    return [HI, (said, ChatMessage(role=role, blocks=[shown])), HI]


@pytest.fixture
def secret(tmp_path: Path) -> Path:
    path = tmp_path / "secret.png"
    path.write_bytes(PICTURE)
    return path


@every_api
@pytest.mark.parametrize("role", ["tool", "assistant", "system"])
@pytest.mark.parametrize("how", ["path", "url"])
def test_only_what_the_user_names_is_read(
    role: str, how: str, api: Api, asking: ModelPair, emulator: Emulator, secret: Path, seen: Seen
) -> None:
    for call_mode in CALL_MODES:
        with pytest.raises(e.QwenVLInputError, match=r"^messages\["):
            asking.ask(call_mode, messages(secret, role, how))
    assert emulator.requests == []
    assert not [path for event, path in seen if event == "open" and path == str(secret)]


@every_api
def test_what_the_user_names_is_read(api: Api, asking: ModelPair, emulator: Emulator, secret: Path, seen: Seen) -> None:
    for call_mode in CALL_MODES:
        asking.ask(call_mode, messages(secret, "user", "path" if call_mode.framework == "langchain" else "url"))
        assert MEDIUM[0] in emulator.requests[-1].body.decode()
    assert len([path for event, path in seen if event == "open" and path == str(secret)]) >= len(CALL_MODES)


@every_api
def test_text_that_looks_like_a_path_is_text(
    api: Api, asking: ModelPair, emulator: Emulator, secret: Path, seen: Seen
) -> None:
    for words in (str(secret), secret.as_uri(), f"![]({secret.as_uri()})"):
        said = [(HumanMessage(words), ChatMessage(role="user", content=words))]
        for call_mode in CALL_MODES:
            asking.ask(call_mode, said)
            assert words in emulator.requests[-1].body.decode()
    assert not [path for event, path in seen if event == "open" and path == str(secret)]


@every_api
@pytest.mark.parametrize("status", [301, 302, 303, 307, 308])
def test_no_other_host_is_asked(status: int, api: Api, asking: ModelPair, emulator: Emulator, seen: Seen) -> None:
    """Not that of a redirect, nor one of an image: the service fetches images."""
    picture = "https://images.invalid/a.png"
    said = [
        (HumanMessage([{"type": "image", "url": picture}]), ChatMessage(role="user", blocks=[ImageBlock(url=picture)]))
    ]
    body = b"moved"
    location = f"Location: http://elsewhere.invalid/v1\r\nContent-Length: {len(body)}"
    with raw_server([head(location, status=f"{status} Moved") + body]) as server:
        moved = ModelPair(Raw(server.url), api)
        for call_mode in CALL_MODES:
            asking.ask(call_mode, said)
            with pytest.raises(e.QwenVLAPIError) as caught:
                moved.ask(call_mode, said)
            assert caught.value.status_code == status
        moved.close()
        assert len(server.bodies) == len(CALL_MODES)
    hosts = {host for event, host in seen if event.startswith("socket.")}
    assert hosts <= {"127.0.0.1"}, hosts
    assert hosts
