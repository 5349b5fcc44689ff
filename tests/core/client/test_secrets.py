"""The API key appears in no error, log or traceback."""

from __future__ import annotations

import logging
import traceback
from typing import Any

import pytest

from qwenvl_core.errors import (
    QwenVLAuthenticationError,
    QwenVLError,
    QwenVLMissingKeyError,
)
from qwenvl_core.types.media import InlineSource
from qwenvl_core.types.messages import ImagePart
from tests.core.client.scripted import STREAM, TEXT, both_call_modes
from tests.emulator import Emulator, Fault
from tests.support.pipeline import CallMode, client, events_of, png, request, user


@both_call_modes
@pytest.mark.parametrize("key", ["", " ", "\n"])
def test_missing_key_raises_before_sending(key: str, call_mode: CallMode, emulator: Emulator) -> None:
    with pytest.raises(QwenVLMissingKeyError, match="DASHSCOPE_API_KEY") as caught:
        events_of(client(emulator.compat_url, api_key=key), STREAM, call_mode)
    assert isinstance(caught.value, ValueError)
    assert emulator.requests == []
    assert emulator.connections == 0


SECRET = "sk-0123456789abcdef-secret"


@pytest.fixture
def logged(caplog: pytest.LogCaptureFixture) -> pytest.LogCaptureFixture:
    for name in ("", "openai", "httpx", "httpx2", "httpcore", "httpcore2"):
        caplog.set_level(logging.DEBUG, logger=name)
    return caplog


@both_call_modes
@pytest.mark.parametrize(
    "answer",
    [
        TEXT,
        Fault(status=401),
        Fault(status=500),
        Fault(reset="before-headers"),
        Fault(close_without_finish=True),
        Fault(stall=3),
    ],
)
def test_key_is_in_no_repr_log_or_error(
    answer: Any, call_mode: CallMode, emulator: Emulator, logged: pytest.LogCaptureFixture
) -> None:
    emulator.script(answer)
    core_client = client(emulator.compat_url, api_key=SECRET, timeout=0.3)
    texts = [repr(core_client), str(core_client), repr(core_client._connection)]
    try:
        texts.append(
            repr(events_of(core_client, request(user(ImagePart(InlineSource(png())), "?"), stream=True), call_mode))
        )
    except QwenVLError as error:
        texts += [str(error), repr(error), repr(vars(error)), "".join(traceback.format_exception(error))]
    texts.append(logged.text)
    assert emulator.requests[0].headers["authorization"] == f"Bearer {SECRET}"
    assert logged.records
    assert not [text for text in texts if SECRET in text]


@both_call_modes
@pytest.mark.parametrize(
    "key", [f"{SECRET}\n", f" {SECRET}", f"{SECRET} {SECRET}", f"{SECRET}ö", f"{SECRET}\0", f"{SECRET}\r\nX: 1"]
)
def test_invalid_key_is_not_quoted(
    key: str, call_mode: CallMode, emulator: Emulator, logged: pytest.LogCaptureFixture
) -> None:
    with pytest.raises(QwenVLAuthenticationError) as caught:
        events_of(client(emulator.compat_url, api_key=key, max_retries=2), STREAM, call_mode)
    assert SECRET not in "".join(traceback.format_exception(caught.value))
    assert SECRET not in logged.text
    assert emulator.requests == []
