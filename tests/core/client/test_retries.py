"""Which failures are retried, how often, and after which delay."""

from __future__ import annotations

import base64
import json
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
from tests.core.client.scripted import CUT, SAID, SOON, STREAM, TEXT, WHOLE, ways
from tests.emulator import Emulator, Fault
from tests.support.pipeline import CallMode, client, events_of, png, reply_of, request, user

# --- retries ----------------------------------------------------------------------------------------------------------


@ways
@pytest.mark.parametrize("asked", [STREAM, WHOLE], ids=["stream", "whole"])
@pytest.mark.parametrize(("retries", "requests"), [(0, 1), (1, 2), (2, 3)])
def test_at_most_so_many_requests(
    asked: Any, retries: int, requests: int, call_mode: CallMode, emulator: Emulator
) -> None:
    emulator.script(*[Fault(status=429, headers={"Retry-After": "0.01"})] * 5)
    with pytest.raises(QwenVLRateLimitError):
        events_of(client(emulator.compat_url, max_retries=retries), asked, call_mode)
    assert len(emulator.requests) == requests


@ways
def test_what_the_server_asks_for_is_obeyed(call_mode: CallMode, emulator: Emulator) -> None:
    emulator.script(Fault(status=429, headers={"Retry-After": "1"}), TEXT)
    start = time.monotonic()
    assert reply_of(client(emulator.compat_url, max_retries=2), STREAM, call_mode).text == "Ein Löwe 😀."
    assert 0.95 < time.monotonic() - start < 3.0
    assert len(emulator.requests) == 2


@ways
@pytest.mark.parametrize(
    "fault",
    [
        Fault(status=408, code="x", headers=SOON),
        Fault(status=429, headers=SOON),
        Fault(status=429, code="insufficient_quota", headers=SOON),  # tokens per minute
        Fault(status=500, headers=SOON),
        Fault(status=503, error_format="html", headers=SOON),
    ],
)
def test_what_may_pass_is_tried_again(fault: Fault, call_mode: CallMode, emulator: Emulator) -> None:
    emulator.script(fault, fault, TEXT)
    assert reply_of(client(emulator.compat_url, max_retries=2), STREAM, call_mode).text == "Ein Löwe 😀."
    assert len(emulator.requests) == 3
    assert len({sent.body for sent in emulator.requests}) == 1


@ways
def test_a_connection_that_breaks_before_the_answer_is_tried_again(call_mode: CallMode, emulator: Emulator) -> None:
    emulator.script(Fault(reset="before-headers"), TEXT)
    assert reply_of(client(emulator.compat_url, max_retries=1), STREAM, call_mode).text == "Ein Löwe 😀."
    assert len(emulator.requests) == 2


@ways
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
def test_what_waiting_does_not_cure_is_not_tried_again(
    fault: Fault, cls: Any, call_mode: CallMode, emulator: Emulator
) -> None:
    emulator.script(fault)
    with pytest.raises(cls):
        events_of(client(emulator.compat_url, max_retries=2), STREAM, call_mode)
    assert len(emulator.requests) == 1


@ways
def test_a_server_that_asks_for_more_than_patience_is_not_bothered_again(
    call_mode: CallMode, emulator: Emulator
) -> None:
    emulator.script(Fault(status=429, headers={"Retry-After": "7200"}))
    with pytest.raises(QwenVLRateLimitError):
        events_of(client(emulator.compat_url, max_retries=2), STREAM, call_mode)
    assert len(emulator.requests) == 1


@ways
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
def test_a_stream_that_gave_tokens_is_never_started_again(
    fault: Fault, call_mode: CallMode, emulator: Emulator
) -> None:
    emulator.script(fault, TEXT)
    with pytest.raises(QwenVLError) as caught:
        events_of(client(emulator.compat_url, max_retries=2), STREAM, call_mode)
    assert caught.value.partial == SAID
    assert len(emulator.requests) == 1


def picture_request(form: str, path: Path) -> Any:
    data = png(padding=3_000_000)
    path.write_bytes(data)
    source: Any = InlineSource(data) if form == "bytes" else FileSource(path)
    return request(user(ImagePart(source), "?"), stream=True)


@ways
@pytest.mark.parametrize("form", ["bytes", "path"])
@pytest.mark.parametrize(
    "fault", [Fault(status=429, headers=SOON), Fault(reset="before-headers")], ids=["429", "reset"]
)
def test_a_large_body_is_sent_again_whole(
    fault: Fault, form: str, call_mode: CallMode, emulator: Emulator, tmp_path: Path
) -> None:
    emulator.script(fault, TEXT)
    asked = picture_request(form, tmp_path / "a.png")
    assert reply_of(client(emulator.compat_url, max_retries=1), asked, call_mode).text == "Ein Löwe 😀."
    first, second = emulator.requests
    assert len(first.body) > 4_000_000
    assert first.body == second.body
    url = json.loads(second.body)["messages"][0]["content"][0]["image_url"]["url"]
    assert base64.b64decode(url.partition(",")[2]) == png(padding=3_000_000)
    assert {int(sent.headers["content-length"]) for sent in emulator.requests} == {len(first.body)}
    assert not any("transfer-encoding" in sent.headers for sent in emulator.requests)


@ways
def test_a_file_that_goes_while_it_is_sent_is_the_callers_error(
    call_mode: CallMode, emulator: Emulator, tmp_path: Path
) -> None:
    path = tmp_path / "a.png"
    asked = picture_request("path", path)
    opened = Path.open

    def gone(self: Path, *args: Any, **kwargs: Any) -> Any:
        if self == path and opens.count(path) >= most:
            raise FileNotFoundError(2, "No such file or directory")
        opens.append(self)
        return opened(self, *args, **kwargs)

    opens: list[Path] = []
    most = 10**9
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Path, "open", gone)
        reply_of(client(emulator.compat_url), asked, call_mode)
        most = opens.count(path) - 1  # the last time it is opened is for the body
        opens.clear()
        with pytest.raises(QwenVLInputError, match=r"a\.png"):
            events_of(client(emulator.compat_url), asked, call_mode)
