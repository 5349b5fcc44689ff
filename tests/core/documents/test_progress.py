"""Tests of the `progress` option."""

from __future__ import annotations

import sys
from typing import Any

import pytest

from tests.core.documents.fake_transcriber import (
    CallMode,
    FakeTranscriber,
    both_call_modes,
    collect_records,
    create_transcription,
    fail_at,
)
from tests.support.scanned_pages import scan


@both_call_modes
def test_progress_callback_receives_pages_done_total_and_usage(call_mode: CallMode) -> None:
    calls: list[tuple[int, int, Any]] = []
    transcription = create_transcription(
        scan(5), FakeTranscriber(fail_at(3)), on_error="skip", progress=lambda *arguments: calls.append(arguments)
    )
    collect_records(transcription, call_mode)
    assert [(done, total) for done, total, _ in calls] == [(number, 5) for number in range(1, 6)]
    assert [usage["pages"] for _, _, usage in calls] == [1, 2, 2, 3, 4]
    assert calls[-1][2] == transcription.usage
    assert calls[-1][2].total_tokens == 4 * 110 + 1 + 2 + 4 + 5


@both_call_modes
def test_progress_true_shows_bar(call_mode: CallMode, capsys: pytest.CaptureFixture[str]) -> None:
    collect_records(create_transcription(scan(3), FakeTranscriber(), progress=True), call_mode)
    assert "3/3" in capsys.readouterr().err


def test_progress_true_without_tqdm_raises_import_error(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "tqdm.auto", None)
    with pytest.raises(ImportError, match=r"tqdm.*qwenvl-adapters\[documents\]"):
        collect_records(create_transcription(scan(1), FakeTranscriber(), progress=True))
