"""The API key appears in the Authorization header only."""

from __future__ import annotations

import logging
import traceback
from typing import Any

import pytest
from langchain_core.callbacks import BaseCallbackHandler
from langchain_core.load import dumpd, dumps
from langchain_core.tracers.base import BaseTracer
from langchain_core.tracers.schemas import Run

from langchain_qwenvl import ChatQwenVL
from qwenvl_core.errors import QwenVLError
from tests.emulator import Emulator, Fault
from tests.langchain.conftest import KEY, Make


class RecordingHandler(BaseCallbackHandler):
    """Records the arguments of all callbacks."""

    raise_error = True

    def __init__(self) -> None:
        self.texts: list[str] = []

    def on_chat_model_start(self, *args: Any, **kwargs: Any) -> None:
        self.texts.append(repr((args, kwargs)))

    on_llm_new_token = on_llm_end = on_llm_error = on_chat_model_start


class RecordingTracer(BaseTracer):
    """Records what a tracer such as LangSmith's would send."""

    def __init__(self) -> None:
        super().__init__()
        self.texts: list[str] = []

    def _persist_run(self, run: Run) -> None:
        self.texts.append(str(run.model_dump() if hasattr(run, "model_dump") else run.dict()))


def test_model_texts_hide_the_key(make: Make) -> None:
    model = make(default_headers={"X-Secret": "header-secret"})
    model.invoke("Hi")
    texts = [
        repr(model), str(model), dumps(model), repr(dumpd(model)), repr(model.asdict()), model.model_dump_json(),
        repr(model._identifying_params), repr(model._get_ls_params()), repr(model._get_invocation_params()),
        model._get_llm_string(), repr(model.bind(temperature=1)), repr(model._client), repr(model._connection()),
        repr(model.profile), repr(model.metadata), repr(model.with_config(tags=["a"])),
    ]  # fmt: skip
    assert not [text for text in texts if KEY in text or "header-secret" in text]


@pytest.mark.parametrize(
    "fault",
    [
        Fault(status=401, code="InvalidApiKey", message="Incorrect API key provided."),
        Fault(status=500),
        Fault(reset="before-headers"),
        Fault(non_json_200=True),
    ],
    ids=["401", "500", "reset", "html"],
)
def test_failure_hides_the_key(fault: Fault, make: Make, emulator: Emulator, caplog: pytest.LogCaptureFixture) -> None:
    model, handler, tracer = make(max_retries=0), RecordingHandler(), RecordingTracer()
    emulator.script(fault)
    with caplog.at_level(logging.DEBUG), pytest.raises(QwenVLError) as raised:
        model.invoke("Hi", {"callbacks": [handler, tracer]})
    error = raised.value
    texts = [*handler.texts, *tracer.texts, *traceback.format_exception(error), repr(error), repr(vars(error))]
    texts += [record.getMessage() for record in caplog.records]
    assert len(handler.texts) == 2
    assert len(tracer.texts) == 1
    assert not [text for text in texts if KEY in text]


def test_stream_hides_the_key(llm: ChatQwenVL, caplog: pytest.LogCaptureFixture) -> None:
    handler, tracer = RecordingHandler(), RecordingTracer()
    with caplog.at_level(logging.DEBUG):
        list(llm.stream("Hi", {"callbacks": [handler, tracer]}))
    texts = [*handler.texts, *tracer.texts, *(record.getMessage() for record in caplog.records)]
    assert len(handler.texts) > 3
    assert not [text for text in texts if KEY in text]


async def test_events_hide_the_key(llm: ChatQwenVL) -> None:
    events = [event async for event in llm.astream_events("Hi", version="v2")]
    assert KEY not in repr(events)
    assert events[0]["metadata"]["ls_provider"] == "qwenvl"
