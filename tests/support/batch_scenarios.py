"""Define the scenarios of batches: Batch Chat, failures in their places, and a scan whose second page fails."""

from __future__ import annotations

import tempfile
from pathlib import Path
from typing import Any
from unittest import mock

from langchain_core.messages import AIMessage

from langchain_qwenvl import ChatQwenVL, QwenVLError, QwenVLLoader
from llama_index_qwenvl import QwenVL
from qwenvl_core.transport import batch_calls
from tests.emulator import Fault, Reply
from tests.support.paths import ROOT
from tests.support.sample_agreement import PAGES
from tests.support.scenario import Scenario, split_words

_REFUSED = Fault(status=400, code="data_inspection_failed", message="Input data may contain inappropriate content.")
_QUESTIONS = ("What is 17 times 23?", "Something that the inspection refuses.", "What is 17 times 24?")


def _ask_batch_chat() -> str:
    message = ChatQwenVL(service_tier="batch").invoke("What is 17 times 23?")
    assert message.additional_kwargs["reasoning_content"]
    response = QwenVL(enable_thinking=False).complete("What is 17 times 23?", service_tier="batch")
    return f"{message.text} {response.text}"


def _read_job_with_a_failure() -> str:
    job = ChatQwenVL(enable_thinking=False).submit_batch(_QUESTIONS)
    with mock.patch.object(batch_calls, "_FIRST_PAUSE", 0.01):
        status = job.poll()
    assert (status.state, status.total) == ("completed", 3)
    return "; ".join(map(_describe, job.results()))


def _describe(result: AIMessage | QwenVLError) -> str:
    return str(result.code) if isinstance(result, QwenVLError) else result.text


def _collect_scan_with_a_failed_page() -> str:
    with tempfile.TemporaryDirectory() as cache:
        options: dict[str, Any] = {"cache_dir": cache, "on_error": "skip", "output": "markdown"}
        llm = ChatQwenVL(enable_thinking=False)
        QwenVLLoader(ROOT / "examples" / "agreement.pdf", llm=llm, **options).submit_batch()
        loader = QwenVLLoader(ROOT / "examples" / "agreement.pdf", llm=llm, **options)
        with mock.patch.object(batch_calls, "_FIRST_PAUSE", 0.01):
            loader.collect_batch(wait=True)
        pages = [document.metadata["page_number"] for document in loader.load()]
        failures = [(number, getattr(error, "code", None)) for number, error in loader.failures]
        assert not list(Path(cache).glob("batches/*.jsonl"))
    return f"read: {pages}, failed: {failures}"


BATCHES = (
    Scenario(
        "batch_chat",
        "Batch Chat in both frameworks",
        _ask_batch_chat,
        [Reply(reasoning=split_words("17 times 23 is 391."), text=["391."]), Reply(text=["391."])],
        "391. 391.",
    ),
    Scenario(
        "batch_failures",
        "A batch file whose second request is refused",
        _read_job_with_a_failure,
        [Reply(text=["391."]), _REFUSED, Reply(text=["408."])],
        "391.; data_inspection_failed; 408.",
    ),
    Scenario(
        "batch_documents",
        "A scan as a batch file, whose second page is refused",
        _collect_scan_with_a_failed_page,
        [PAGES[0], _REFUSED, *PAGES[2:]],
        "read: [1, 3], failed: [(2, 'data_inspection_failed')]",
    ),
)
