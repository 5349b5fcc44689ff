"""The key is nowhere but in the Authorization header."""

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


class Everything(BaseCallbackHandler):
    """Writes down all that callbacks are told."""

    raise_error = True

    def __init__(self) -> None:
        self.told: list[str] = []

    def on_chat_model_start(self, *args: Any, **kwargs: Any) -> None:
        self.told.append(repr((args, kwargs)))

    on_llm_new_token = on_llm_end = on_llm_error = on_chat_model_start


class Traces(BaseTracer):
    """Writes down all that a tracer such as LangSmith's sends off."""

    def __init__(self) -> None:
        super().__init__()
        self.told: list[str] = []

    def _persist_run(self, run: Run) -> None:
        self.told.append(str(run.model_dump() if hasattr(run, "model_dump") else run.dict()))


def test_what_a_model_says_of_itself(make: Make) -> None:
    model = make(default_headers={"X-Secret": "header-secret"})
    model.invoke("Hi")
    said = [
        repr(model), str(model), dumps(model), repr(dumpd(model)), repr(model.asdict()), model.model_dump_json(),
        repr(model._identifying_params), repr(model._get_ls_params()), repr(model._get_invocation_params()),
        model._get_llm_string(), repr(model.bind(temperature=1)), repr(model._client), repr(model._connection()),
        repr(model.profile), repr(model.metadata), repr(model.with_config(tags=["a"])),
    ]  # fmt: skip
    assert not [text for text in said if KEY in text or "header-secret" in text]


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
def test_what_a_failure_says(fault: Fault, make: Make, emulator: Emulator, caplog: pytest.LogCaptureFixture) -> None:
    model, told, traces = make(max_retries=0), Everything(), Traces()
    emulator.script(fault)
    with caplog.at_level(logging.DEBUG), pytest.raises(QwenVLError) as raised:
        model.invoke("Hi", {"callbacks": [told, traces]})
    error = raised.value
    said = [*told.told, *traces.told, *traceback.format_exception(error), repr(error), repr(vars(error))]
    said += [record.getMessage() for record in caplog.records]
    assert len(told.told) == 2
    assert len(traces.told) == 1
    assert not [text for text in said if KEY in text]


def test_what_a_success_says(llm: ChatQwenVL, caplog: pytest.LogCaptureFixture) -> None:
    told, traces = Everything(), Traces()
    with caplog.at_level(logging.DEBUG):
        list(llm.stream("Hi", {"callbacks": [told, traces]}))
    said = [*told.told, *traces.told, *(record.getMessage() for record in caplog.records)]
    assert len(told.told) > 3
    assert not [text for text in said if KEY in text]


async def test_what_events_say(llm: ChatQwenVL) -> None:
    events = [event async for event in llm.astream_events("Hi", version="v2")]
    assert KEY not in repr(events)
    assert events[0]["metadata"]["ls_provider"] == "qwenvl"
