"""Test that keys and media do not leak, and that only files of the user are read and only the server is contacted."""

from __future__ import annotations

import base64
import json
import logging
import pickle
import random
import sys
import traceback
from collections.abc import Iterator
from contextlib import nullcontext
from pathlib import Path
from typing import Any

import pytest
from langchain_core.callbacks import BaseCallbackHandler
from langchain_core.load import dumpd, dumps
from langchain_core.messages import AIMessage, BaseMessage, HumanMessage, SystemMessage, ToolMessage
from llama_index.core.base.llms.types import ChatMessage, ImageBlock, MessageRole, TextBlock, ToolCallBlock
from llama_index.core.callbacks import CallbackManager
from llama_index.core.callbacks.base_handler import BaseCallbackHandler as BaseLegacyHandler
from llama_index.core.instrumentation import get_dispatcher  # type: ignore[attr-defined]
from llama_index.core.instrumentation.event_handlers import BaseEventHandler
from pydantic import PrivateAttr

from qwenvl_core import errors as e
from qwenvl_core.transport import retry
from tests.emulator import Emulator, Fault, Reply
from tests.parity.call_modes import APIS, CALL_MODES, HI, Api, BaseUrl, CallMode, ModelPair
from tests.support.media_files import grey_png
from tests.support.model_factories import KEY
from tests.support.raw_server import head, raw_server

IMAGE = grey_png(grey=0x80) + random.Random(1).randbytes(3000)
BASE64 = base64.b64encode(IMAGE).decode()
# Parts of the image as base64 and as a bytes literal, long enough to be unique.
MEDIA_SAMPLES = (BASE64[300:360], repr(IMAGE[2000:2030])[2:-1])
QUESTION = (
    HumanMessage([{"type": "text", "text": "What?"}, {"type": "image", "base64": BASE64, "mime_type": "image/png"}]),
    ChatMessage(role="user", blocks=[TextBlock(text="What?"), ImageBlock(image=IMAGE)]),
)
every_api = pytest.mark.parametrize("api", APIS)


@pytest.fixture(scope="module", autouse=True)
def fast_clients() -> Iterator[None]:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(retry, "_FIRST_DELAY", 0.0)
        yield


@pytest.fixture
def pair(emulator: Emulator, api: Api) -> Iterator[ModelPair]:
    models = ModelPair(emulator, api, timeout=5.0, default_headers={"X-Secret": "header-secret"})
    yield models
    models.close()


@pytest.fixture
def debug_log(caplog: pytest.LogCaptureFixture) -> pytest.LogCaptureFixture:
    for name in ("", "openai", "httpx", "httpx2", "httpcore", "httpcore2", "dashscope", "asyncio"):
        caplog.set_level(logging.DEBUG, logger=name)
    return caplog


# --- the key and the media ------------------------------------------------------------------------------------------


@every_api
def test_model_representations_hold_no_secret(api: Api, pair: ModelPair) -> None:
    for call_mode in CALL_MODES:
        pair.send(call_mode)
    chain, index = pair.langchain, pair.llama_index
    texts = [
        repr(chain), str(chain), dumps(chain), repr(dumpd(chain)), repr(chain.model_dump()), chain.model_dump_json(),
        repr(chain._identifying_params), repr(chain._get_ls_params()), repr(chain._get_invocation_params()),
        repr(index), str(index), repr(index.to_dict()), index.to_json(), repr(index.model_dump()),
        index.model_dump_json(), repr(index.to_payload()), repr(index.metadata), repr(index.model_copy(deep=True)),
        *(repr(model._client) + repr(vars(model._client)) for model in (chain, index)),
    ]  # fmt: skip
    assert not [text for text in texts if KEY in text or "header-secret" in text]
    pickles = [pickle.dumps(model) for model in (chain, index)]  # pickles keep the default headers of the caller
    assert not [data for data in pickles if KEY.encode() in data]


FAILURES = [
    Fault(status=401),
    Fault(status=500),
    Fault(reset="before-headers"),
    Fault(non_json_200=True),
    Fault(reply=Reply(text=["So", " far", "."]), after=2, reset="after-events"),
]


@every_api
def test_failures_and_logs_hold_no_secret(
    api: Api, pair: ModelPair, emulator: Emulator, debug_log: pytest.LogCaptureFixture
) -> None:
    texts: list[str] = []
    for fault in FAILURES:
        emulator.respond = lambda request, fault=fault: fault
        for call_mode in CALL_MODES:
            error = send_and_catch(pair, call_mode)
            texts += texts_of(error)
            with_values = traceback.TracebackException.from_exception(error, capture_locals=True)
            # Only the key is searched, because local variables hold the messages of the caller.
            assert not [line for line in with_values.format() if "qwenvl" in line and KEY in line]
    assert debug_log.records
    texts.append(debug_log.text)
    assert not [text for text in texts for secret in (KEY, "header-secret", *MEDIA_SAMPLES) if secret in text]


def send_and_catch(pair: ModelPair, call_mode: CallMode) -> e.QwenVLError:
    with pytest.raises(e.QwenVLError) as caught:
        pair.send(call_mode, [QUESTION])
    return caught.value


_HTTP_ATTRIBUTES = ("request", "_request", "response")


def texts_of(error: e.QwenVLError) -> list[str]:
    """Return all texts and pickles of an error and its causes."""
    texts = [*traceback.format_exception(error), str(error), repr(error), repr(vars(error)), repr(pickle.dumps(error))]
    # Some libraries pickle the causes of an error, with their attributes, for other processes.
    cause: BaseException | None = error
    while cause is not None:
        texts += [repr(pickle.dumps(value)) for name, value in vars(cause).items() if name in _HTTP_ATTRIBUTES]
        cause = cause.__cause__ or cause.__context__
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
def test_error_that_echoes_request_holds_no_secret(status: str, api: Api) -> None:
    """The SDK's error, the cause of ours, holds none either."""
    answers = [[head(f"Content-Length: {len(body)}", status=status, kind="application/json") + body.encode()]
               for body in ECHOES]  # fmt: skip
    with raw_server(*answers) as server:
        pair = ModelPair(BaseUrl(server.url), api, max_retries=0)
        call_modes = [call_mode for call_mode in CALL_MODES if call_mode.is_odd == (api == "openai")]
        texts = [text for _ in ECHOES for call_mode in call_modes for text in texts_of(send_and_catch(pair, call_mode))]
        pair.close()
    assert not [text for text in texts for secret in (KEY, *MEDIA_SAMPLES) if secret in text]


class _RecordingCallback(BaseCallbackHandler):
    raise_error = True

    def __init__(self) -> None:
        self.texts: list[str] = []

    def on_chat_model_start(self, serialized: Any, messages: Any, **kwargs: Any) -> None:
        self.texts.append(repr((serialized, kwargs)))  # without the messages, which LangChain passes itself

    def on_llm_new_token(self, *args: Any, **kwargs: Any) -> None:
        self.texts.append(repr((args, kwargs)))

    on_llm_end = on_llm_error = on_llm_new_token


class _RecordingLegacyHandler(BaseLegacyHandler):
    def __init__(self) -> None:
        super().__init__([], [])
        self.payloads: list[Any] = []

    def on_event_start(
        self, event_type: Any, payload: Any = None, event_id: str = "", parent_id: str = "", **kwargs: Any
    ) -> str:
        self.payloads.append(payload)
        return ""

    def on_event_end(self, event_type: Any, payload: Any = None, event_id: str = "", **kwargs: Any) -> None:
        self.payloads.append(payload)

    def start_trace(self, trace_id: str | None = None) -> None:
        """Ignore the start of a trace."""

    def end_trace(self, trace_id: str | None = None, trace_map: Any = None) -> None:
        """Ignore the end of a trace."""


class _RecordingEventHandler(BaseEventHandler):
    _texts: list[str] = PrivateAttr(default_factory=list)

    @classmethod
    def class_name(cls) -> str:
        return "Everything"

    def handle(self, event: Any, **kwargs: Any) -> None:
        self._texts.append(repr(event.model_dump(exclude={"messages"})))


@every_api
def test_callbacks_and_tracers_get_no_secret(api: Api, pair: ModelPair, emulator: Emulator) -> None:
    callbacks, legacy_callbacks = _RecordingCallback(), _RecordingLegacyHandler()
    events, dispatcher = _RecordingEventHandler(), get_dispatcher()
    pair.langchain.callbacks = [callbacks]
    pair.llama_index.callback_manager = CallbackManager([legacy_callbacks])
    dispatcher.add_event_handler(events)
    try:
        for call_mode in CALL_MODES:
            pair.send(call_mode, [QUESTION])
            emulator.script(Fault(status=401))
            with pytest.raises(e.QwenVLAuthenticationError):
                pair.send(call_mode, [QUESTION])
    finally:
        dispatcher.event_handlers.remove(events)
    payloads = [
        {name: value for name, value in (payload or {}).items() if name != "messages"}
        for payload in legacy_callbacks.payloads
    ]
    texts = [*callbacks.texts, *map(repr, payloads), *events._texts]
    assert len(callbacks.texts) >= 16
    assert len(events._texts) >= 16
    assert not [text for text in texts for secret in (KEY, "header-secret", *MEDIA_SAMPLES) if secret in text]


# --- the disk and other hosts ---------------------------------------------------------------------------------------

AuditRecord = list[tuple[str, str]]
_records: list[AuditRecord] = []


def _record_audit_event(event: str, args: tuple[Any, ...]) -> None:
    if _records and event == "open":
        _records[-1].append((event, str(args[0])))
    elif _records and event in ("socket.connect", "socket.getaddrinfo"):
        address = args[1] if event == "socket.connect" else args
        _records[-1].append((event, str(address[0]) if isinstance(address, tuple) else str(address)))


@pytest.fixture(scope="module")
def _audit_hook() -> None:
    sys.addaudithook(_record_audit_event)  # an audit hook cannot be removed


@pytest.fixture
def accesses(_audit_hook: None) -> Iterator[AuditRecord]:
    """Record the files that a test opens and the hosts that it connects to."""
    _records.append([])
    yield _records[-1]
    _records.pop()


CALL = (
    AIMessage("", tool_calls=[{"id": "c1", "name": "look", "args": {}}]),
    ChatMessage(role="assistant", blocks=[ToolCallBlock(tool_call_id="c1", tool_name="look", tool_kwargs={})]),
)


def build_conversation(path: Path, role: str, form: str) -> list[tuple[Any, Any]]:
    """Build a conversation in which a message of `role` names a file, as a path or as a URL."""
    url = {"path": str(path), "url": path.as_uri()}[form]
    block: dict[str, Any] = {"type": "image", "url": url}
    image = ImageBlock.model_construct(url=url, block_type="image")  # not validated, as some integrations make it
    if role == "tool":
        result = ChatMessage(role=MessageRole.TOOL, blocks=[image], additional_kwargs={"tool_call_id": "c1"})
        return [HI, CALL, (ToolMessage([block], tool_call_id="c1"), result)]
    message_classes: dict[str, type[BaseMessage]] = {
        "user": HumanMessage,
        "assistant": AIMessage,
        "system": SystemMessage,
    }
    return [HI, (message_classes[role](content=[block]), ChatMessage(role=role, blocks=[image])), HI]


@pytest.fixture
def secret(tmp_path: Path) -> Path:
    path = tmp_path / "secret.png"
    path.write_bytes(IMAGE)
    return path


@every_api
@pytest.mark.parametrize("role", ["tool", "assistant", "system"])
@pytest.mark.parametrize("form", ["path", "url"])
def test_file_in_other_roles_is_not_read(
    role: str, form: str, api: Api, pair: ModelPair, emulator: Emulator, secret: Path, accesses: AuditRecord
) -> None:
    for call_mode in CALL_MODES:
        # What a tool or a model wrote never ends an agent: it is described in words.
        expectation = pytest.raises(e.QwenVLInputError, match=r"^messages\[") if role == "system" else nullcontext()
        with expectation:
            pair.send(call_mode, build_conversation(secret, role, form))
    assert (emulator.requests == []) == (role == "system")
    assert not [request for request in emulator.requests if MEDIA_SAMPLES[0] in request.body.decode()]
    assert not [path for event, path in accesses if event == "open" and path == str(secret)]


@every_api
def test_file_in_user_message_is_read(
    api: Api, pair: ModelPair, emulator: Emulator, secret: Path, accesses: AuditRecord
) -> None:
    for name in ("langchain", "llama_index"):
        getattr(pair, name).local_files = True
    for call_mode in CALL_MODES:
        pair.send(
            call_mode, build_conversation(secret, "user", "path" if call_mode.framework == "langchain" else "url")
        )
        assert MEDIA_SAMPLES[0] in emulator.requests[-1].body.decode()
    assert len([path for event, path in accesses if event == "open" and path == str(secret)]) >= len(CALL_MODES)


@every_api
def test_text_that_looks_like_path_is_not_read(
    api: Api, pair: ModelPair, emulator: Emulator, secret: Path, accesses: AuditRecord
) -> None:
    for text in (str(secret), secret.as_uri(), f"![]({secret.as_uri()})"):
        conversation = [(HumanMessage(text), ChatMessage(role="user", content=text))]
        for call_mode in CALL_MODES:
            pair.send(call_mode, conversation)
            assert text in emulator.requests[-1].body.decode()
    assert not [path for event, path in accesses if event == "open" and path == str(secret)]


@every_api
@pytest.mark.parametrize("status", [301, 302, 303, 307, 308])
def test_redirect_and_image_hosts_are_not_contacted(
    status: int, api: Api, pair: ModelPair, emulator: Emulator, accesses: AuditRecord
) -> None:
    """The service fetches images by URL, not the client."""
    image_url = "https://images.invalid/a.png"
    conversation = [
        (
            HumanMessage([{"type": "image", "url": image_url}]),
            ChatMessage(role="user", blocks=[ImageBlock(url=image_url)]),
        )
    ]
    body = b"moved"
    location = f"Location: http://elsewhere.invalid/v1\r\nContent-Length: {len(body)}"
    with raw_server([head(location, status=f"{status} Moved") + body]) as server:
        redirected = ModelPair(BaseUrl(server.url), api)
        for call_mode in CALL_MODES:
            pair.send(call_mode, conversation)
            with pytest.raises(e.QwenVLAPIError) as caught:
                redirected.send(call_mode, conversation)
            assert caught.value.status_code == status
        redirected.close()
        assert len(server.bodies) == len(CALL_MODES)
    hosts = {host for event, host in accesses if event.startswith("socket.")}
    assert hosts <= {"127.0.0.1"}, hosts
    assert hosts
