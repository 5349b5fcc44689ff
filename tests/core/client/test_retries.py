"""Which failures are retried, how often, and after which delay."""

from __future__ import annotations

import base64
import json
import os
import time
from pathlib import Path
from typing import Any

import pytest

from qwenvl_core.errors import (
    QwenVLArrearageError,
    QwenVLAuthenticationError,
    QwenVLError,
    QwenVLInputError,
    QwenVLInvalidRequestError,
    QwenVLModelNotFoundError,
    QwenVLPermissionDeniedError,
    QwenVLQuotaExceededError,
    QwenVLRateLimitError,
)
from qwenvl_core.types.media import FileSource, InlineSource
from qwenvl_core.types.messages import ImagePart
from tests.core.client.scripted import CUT, CUT_TEXT, RETRY_SOON, STREAM, TEXT, WHOLE, both_call_modes
from tests.emulator import Emulator, Fault
from tests.support.pipeline import CallMode, client, events_of, png, reply_of, request, user

# --- retries ----------------------------------------------------------------------------------------------------------


@both_call_modes
@pytest.mark.parametrize("chat_request", [STREAM, WHOLE], ids=["stream", "whole"])
@pytest.mark.parametrize(("retries", "requests"), [(0, 1), (1, 2), (2, 3)])
def test_max_retries_limits_the_requests(
    chat_request: Any, retries: int, requests: int, call_mode: CallMode, emulator: Emulator
) -> None:
    emulator.script(*[Fault(status=429, headers={"Retry-After": "0.01"})] * 5)
    with pytest.raises(QwenVLRateLimitError):
        events_of(client(emulator.compat_url, max_retries=retries), chat_request, call_mode)
    assert len(emulator.requests) == requests


@both_call_modes
def test_retry_waits_for_retry_after(call_mode: CallMode, emulator: Emulator) -> None:
    emulator.script(Fault(status=429, headers={"Retry-After": "1"}), TEXT)
    start = time.monotonic()
    assert reply_of(client(emulator.compat_url, max_retries=2), STREAM, call_mode).text == "Ein Löwe 😀."
    assert 0.95 < time.monotonic() - start < 3.0
    assert len(emulator.requests) == 2


@both_call_modes
@pytest.mark.parametrize(
    "fault",
    [
        Fault(status=408, code="x", headers=RETRY_SOON),
        Fault(status=429, headers=RETRY_SOON),
        Fault(status=429, code="insufficient_quota", headers=RETRY_SOON),  # tokens per minute
        Fault(status=500, headers=RETRY_SOON),
        Fault(status=503, error_format="html", headers=RETRY_SOON),
    ],
)
def test_transient_status_is_retried(fault: Fault, call_mode: CallMode, emulator: Emulator) -> None:
    emulator.script(fault, fault, TEXT)
    assert reply_of(client(emulator.compat_url, max_retries=2), STREAM, call_mode).text == "Ein Löwe 😀."
    assert len(emulator.requests) == 3
    assert len({sent.body for sent in emulator.requests}) == 1


@both_call_modes
def test_reset_before_the_headers_is_retried(call_mode: CallMode, emulator: Emulator) -> None:
    emulator.script(Fault(reset="before-headers"), TEXT)
    assert reply_of(client(emulator.compat_url, max_retries=1), STREAM, call_mode).text == "Ein Löwe 😀."
    assert len(emulator.requests) == 2


@both_call_modes
@pytest.mark.parametrize(
    ("fault", "cls"),
    [
        (Fault(status=400), QwenVLInvalidRequestError),
        (Fault(code="Arrearage"), QwenVLArrearageError),
        (Fault(code="data_inspection_failed"), QwenVLInvalidRequestError),
        (Fault(status=401), QwenVLAuthenticationError),
        (Fault(status=403), QwenVLPermissionDeniedError),
        (Fault(status=404), QwenVLModelNotFoundError),
        (Fault(status=413, code="too_large"), QwenVLInvalidRequestError),
        (Fault(code="PrepaidBillOverdue"), QwenVLArrearageError),  # 429, like these
        (Fault(code="PostpaidBillOverdue"), QwenVLArrearageError),
        (Fault(code="CommodityNotPurchased"), QwenVLArrearageError),
        (
            Fault(status=429, code="insufficient_quota", message="Free allocated quota exceeded."),
            QwenVLQuotaExceededError,
        ),
    ],
)
def test_permanent_failure_is_not_retried(fault: Fault, cls: Any, call_mode: CallMode, emulator: Emulator) -> None:
    emulator.script(fault)
    with pytest.raises(cls):
        events_of(client(emulator.compat_url, max_retries=2), STREAM, call_mode)
    assert len(emulator.requests) == 1


@both_call_modes
def test_retry_after_above_timeout_is_not_retried(call_mode: CallMode, emulator: Emulator) -> None:
    emulator.script(Fault(status=429, headers={"Retry-After": "7200"}))
    with pytest.raises(QwenVLRateLimitError):
        events_of(client(emulator.compat_url, max_retries=2), STREAM, call_mode)
    assert len(emulator.requests) == 1


@both_call_modes
@pytest.mark.parametrize(
    "fault",
    [
        Fault(reset="after-events", reply=CUT, after=3),
        Fault(truncate_body=True, reply=CUT, after=3),
        Fault(close_without_finish=True, reply=CUT, after=3),
        Fault(status=429, error_format="in-stream", reply=CUT, after=3),
        Fault(status=500, error_format="in-stream", reply=CUT, after=3),
    ],
)
def test_stream_with_partial_text_is_not_retried(fault: Fault, call_mode: CallMode, emulator: Emulator) -> None:
    emulator.script(fault, TEXT)
    with pytest.raises(QwenVLError) as caught:
        events_of(client(emulator.compat_url, max_retries=2), STREAM, call_mode)
    assert caught.value.partial == CUT_TEXT
    assert len(emulator.requests) == 1


def image_request(form: str, path: Path) -> Any:
    data = png(padding=3_000_000)
    path.write_bytes(data)
    source: Any = InlineSource(data) if form == "bytes" else FileSource(path)
    return request(user(ImagePart(source), "?"), stream=True)


@both_call_modes
@pytest.mark.parametrize("form", ["bytes", "path"])
@pytest.mark.parametrize(
    "fault", [Fault(status=429, headers=RETRY_SOON), Fault(reset="before-headers")], ids=["429", "reset"]
)
def test_retry_sends_a_large_body_again(
    fault: Fault, form: str, call_mode: CallMode, emulator: Emulator, tmp_path: Path
) -> None:
    emulator.script(fault, TEXT)
    chat_request = image_request(form, tmp_path / "a.png")
    assert reply_of(client(emulator.compat_url, max_retries=1), chat_request, call_mode).text == "Ein Löwe 😀."
    first, second = emulator.requests
    assert len(first.body) > 4_000_000
    assert first.body == second.body
    url = json.loads(second.body)["messages"][0]["content"][0]["image_url"]["url"]
    assert base64.b64decode(url.partition(",")[2]) == png(padding=3_000_000)
    assert {int(sent.headers["content-length"]) for sent in emulator.requests} == {len(first.body)}
    assert not any("transfer-encoding" in sent.headers for sent in emulator.requests)


@both_call_modes
def test_file_deleted_while_sending_raises_input_error(call_mode: CallMode, emulator: Emulator, tmp_path: Path) -> None:
    path = tmp_path / "a.png"
    chat_request = image_request("path", path)
    open_descriptor = os.open

    def open_or_fail(name: Any, *args: Any, **kwargs: Any) -> int:
        if name == path and opens.count(path) >= allowed_opens:
            raise FileNotFoundError(2, "No such file or directory")
        opens.append(name)
        return int(open_descriptor(name, *args, **kwargs))

    opens: list[Any] = []
    allowed_opens = 10**9
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(os, "open", open_or_fail)
        reply_of(client(emulator.compat_url), chat_request, call_mode)
        allowed_opens = opens.count(path) - 1  # the last open is for the body
        opens.clear()
        with pytest.raises(QwenVLInputError, match=r"a\.png"):
            events_of(client(emulator.compat_url), chat_request, call_mode)
