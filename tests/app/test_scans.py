"""What the page does, without the page: limits of files, reading, retrieval, replayed recordings, connections."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import replace
from pathlib import Path
from typing import Any

import openai
import pytest
from langchain_core.documents import Document

from examples.app import connections, recordings, scans
from examples.app.connections import Connection
from examples.app.scans import Scan
from langchain_qwenvl import ChatQwenVL
from qwenvl_core.errors import QwenVLError, QwenVLInputError
from tests.core.rendering.pdf_samples import LOCKED
from tests.emulator import Emulator, Fault
from tests.support import llama_server
from tests.support.pipeline import png
from tests.support.scanned_pages import answer, page_in, scan

replays = pytest.mark.skipif(
    int(openai.__version__.split(".")[0]) < 3, reason="recordings are replayed on httpx2, which openai 3 uses"
)
RECORDED = Connection("model-studio", "qwen3-vl-plus")


def element(text: str, page: int = 1, category: str = "text") -> Document:
    return Document(
        text,
        metadata={"page_number": page, "page_label": str(page), "category": category, "bbox": "[0.1, 0.1, 0.5, 0.2]"},
    )


def open_bundled(name: str) -> Scan:
    return scans.open_scan(scans.EXAMPLES / name)


@pytest.fixture(autouse=True)
def pause(monkeypatch: pytest.MonkeyPatch) -> None:
    """Replay without pauses."""
    monkeypatch.setattr(recordings, "SECONDS_PER_REPLY", 0)
    monkeypatch.setattr(recordings, "SECONDS_PER_EVENT", 0)


# --- files ---


@pytest.mark.parametrize(
    ("data", "message"),
    [
        (b"", "Unsupported file"),
        (b"Some words.", "Unsupported file: 'mine'. Upload a PDF"),
        (b"%!PS-Adobe-3.0 EPSF-3.0\n", "Unsupported file"),
        (b"\x93NUMPY\x01\x00", "Unsupported file"),
        (b"\x00\x00\x00\x18ftypmp42", "Unsupported file"),
        (b"\x89PNG\r\n\x1a\nbroken", "neither a PDF nor an image"),
        (b"%PDF-1.7 broken", "can't read this PDF"),
        (bytes(scans.MAX_BYTES + 1), "File too large: 'mine'. At most 20,971,520 bytes"),
        (scan(scans.MAX_PAGES + 1), "Too many pages: 21. At most 20"),
        (LOCKED, "'mine' needs a password. Save it without one"),
    ],
)
def test_open_scan_of_unusable_file_raises(data: bytes, message: str, tmp_path: Path) -> None:
    (tmp_path / "mine").write_bytes(data)
    with pytest.raises(QwenVLInputError, match=message):
        scans.open_scan(tmp_path / "mine")


@pytest.mark.parametrize(("data", "pages"), [(scan(scans.MAX_PAGES), 20), (scan(3, "TIFF"), 3), (png(), 1)])
def test_open_scan_within_the_limits_counts_pages(data: bytes, pages: int, tmp_path: Path) -> None:
    (tmp_path / "mine").write_bytes(data)
    assert scans.open_scan(tmp_path / "mine").pages == pages


def test_bundled_scans_have_pages() -> None:
    assert [open_bundled(name).pages for name in scans.QUESTIONS] == [3, 1]


# --- reading ---


@pytest.fixture
def llm(emulator: Emulator) -> Iterator[ChatQwenVL]:
    emulator.respond = answer
    model = ChatQwenVL(base_url=emulator.compat_url, api_key="sk-test", enable_thinking=False)
    yield model
    model.close()


@pytest.fixture
def mine() -> Scan:
    return Scan("mine.pdf", scan(4), 4)


@pytest.mark.parametrize("max_concurrency", [1, 3])
def test_read_scan_yields_after_each_page_with_its_elements(llm: ChatQwenVL, mine: Scan, max_concurrency: int) -> None:
    steps = list(scans.read_scan(mine, llm, max_concurrency))
    assert [step.pages_read for step in steps] == [1, 2, 3, 4]
    pages = [[element.metadata["page_number"] for element in step.elements] for step in steps]
    assert [sorted(set(numbers)) for numbers in pages] == [[1], [1, 2], [1, 2, 3], [1, 2, 3, 4]]
    assert {element.metadata["source"] for element in steps[-1].elements} == {"mine.pdf"}
    tokens = [step.tokens for step in steps]
    assert tokens == sorted(set(tokens))
    assert tokens[0] > 0


def test_read_scan_with_failing_page_keeps_those_before_and_names_file_and_page(
    llm: ChatQwenVL, mine: Scan, emulator: Emulator
) -> None:
    emulator.respond = lambda request: Fault(status=400) if page_in(request) == 3 else answer(request)
    steps: list[Scan] = []
    with pytest.raises(QwenVLError, match=r"mine\.pdf, page 3"):
        steps.extend(scans.read_scan(mine, llm, 1))
    assert [step.pages_read for step in steps] == [1, 2]


def test_read_scan_that_is_left_requests_no_further_page(llm: ChatQwenVL, mine: Scan, emulator: Emulator) -> None:
    reading: Any = scans.read_scan(mine, llm, 1)
    next(reading)
    reading.close()
    assert len(emulator.requests) <= 2  # the second one may have begun


# --- retrieval ---


def test_retrieve_prefers_elements_with_rare_words() -> None:
    elements = tuple(element(f"The clause {word} of the contract") for word in ("deposit", "harbour", "diesel"))
    assert scans.retrieve(elements, "Who keeps the deposit?")[0] is elements[0]


def test_retrieve_counts_the_words_at_the_top_of_the_page() -> None:
    elements = (*(element(f"Clause {number}") for number in range(10)), element("What it costs", 2), element("7.50", 2))
    assert [found.page_content for found in scans.retrieve(elements, "The cost?")[:2]] == ["What it costs", "7.50"]


def test_retrieve_leaves_out_pictures_unless_there_is_nothing_else() -> None:
    picture = element("[image]", category="image")
    assert scans.retrieve((picture, element("text")), "image")[0].page_content == "text"
    assert scans.retrieve((picture,), "image") == (picture,)


@pytest.mark.parametrize("question", ["", "?", "zzz", "押金是多少"])
def test_retrieve_with_any_question_gives_sources(question: str) -> None:
    elements = tuple(element(text) for text in ("押金 900", "…", "diesel"))
    assert len(scans.retrieve(elements, question)) == 3


def test_split_words_of_chinese_text_are_characters() -> None:
    assert scans.split_words("押金900元, Costs") == ["押", "金", "900", "元", "cost"]


# --- recordings ---


@replays
@pytest.mark.parametrize("name", scans.QUESTIONS)
def test_recordings_answer_the_questions_of_the_bundled_scans(name: str) -> None:
    for _ in range(2):  # each reading begins anew
        *_, read = scans.read_scan(open_bundled(name), RECORDED.create_model(reads_pages=True), 1)
        assert read.pages_read == read.pages
    for question in scans.QUESTIONS[name]:
        *_, turn = scans.ask(read, question, RECORDED.create_model())
        assert turn.thinking
        assert "[1]" in turn.answer
        assert turn.usage["total_tokens"] == turn.usage["input_tokens"] + turn.usage["output_tokens"]


@replays
def test_question_without_recording_names_the_ways_out() -> None:
    read = replace(open_bundled("receipt.png"), elements=(element("Total 5"),))
    with pytest.raises(QwenVLError, match=r"no recording of this\. .* PROVIDER=llama\.cpp"):
        list(scans.ask(read, "Why?", RECORDED.create_model()))


@replays
def test_other_model_without_key_has_no_recording() -> None:
    model = Connection("model-studio", "qwen3.8-max").create_model(reads_pages=True)
    with pytest.raises(QwenVLError, match="one model"):
        list(scans.read_scan(open_bundled("receipt.png"), model, 1))


# --- connections ---


@pytest.mark.parametrize(
    ("connection", "key", "is_recorded"),
    [
        (RECORDED, "", True),
        (RECORDED, "sk-environment", False),
        (replace(RECORDED, key="sk-typed"), "", False),
        (Connection("llama.cpp", "x"), "", False),
        (Connection("openrouter", "x"), "", False),
    ],
)
def test_recordings_answer_without_a_key_for_model_studio_only(
    connection: Connection, key: str, is_recorded: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("DASHSCOPE_API_KEY", key)
    assert connection.is_recorded is is_recorded


def test_created_model_has_provider_address_and_key_of_the_form() -> None:
    model = Connection("vllm", "Qwen/Qwen3.5-27B", "http://127.0.0.1:9/v1", "sk-typed").create_model()
    assert (model.provider, model.base_url) == ("vllm", "http://127.0.0.1:9/v1")
    assert model.api_key is not None
    assert model.api_key.get_secret_value() == "sk-typed"
    assert "sk-typed" not in repr(Connection("vllm", "x", key="sk-typed"))


@pytest.mark.parametrize(
    ("name", "thinks"), [("qwen3-vl-plus", False), ("qwen3-vl-235b-a22b-thinking", True), ("my-model", False)]
)
def test_pages_are_read_without_thinking_where_the_model_can(name: str, thinks: bool) -> None:
    model = Connection("model-studio", name, key="sk-typed").create_model(reads_pages=True)
    assert model.enable_thinking is thinks


def test_provider_without_its_key_names_the_variable(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("OPENROUTER_API_KEY", raising=False)
    connection = Connection("openrouter", "qwen/qwen3-vl-8b-thinking")
    with pytest.raises(QwenVLError, match="OPENROUTER_API_KEY"):
        list(scans.read_scan(open_bundled("receipt.png"), connection.create_model(reads_pages=True)))


@pytest.mark.parametrize("provider", connections.PROVIDER_NAMES)
def test_every_provider_has_a_base_url_or_is_the_general_one(provider: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("DASHSCOPE_API_KEY", raising=False)
    connection = Connection(provider, "x", key="sk-typed")
    if provider == "openai-compatible":
        with pytest.raises(ValueError, match="needs base_url="):
            connection.create_model()
    else:
        assert connection.create_model().provider == provider


@pytest.mark.parametrize(
    ("variables", "connection"),
    [
        ({}, Connection("model-studio", "qwen3-vl-plus")),
        ({"PROVIDER": "", "MODEL": "", "BASE_URL": ""}, Connection("model-studio", "qwen3-vl-plus")),
        ({"PROVIDER": "ollama", "MODEL": "qwen3-vl:8b"}, Connection("ollama", "qwen3-vl:8b")),
        (
            {"PROVIDER": "llama.cpp", "BASE_URL": "http://127.0.0.1:9/v1"},
            Connection("llama.cpp", "qwen3-vl-plus", "http://127.0.0.1:9/v1"),
        ),
    ],
)
def test_variables_choose_the_connection(
    variables: dict[str, str], connection: Connection, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("PROVIDER", "MODEL", "BASE_URL"):
        monkeypatch.delenv(name, raising=False)
    for name, value in variables.items():
        monkeypatch.setenv(name, value)
    with ExitStack() as stack:
        assert connections.choose_connection(stack) == connection


def test_unknown_provider_suggests_another(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PROVIDER", "olama")
    with ExitStack() as stack, pytest.raises(QwenVLError, match="Did you mean 'ollama'"):
        connections.choose_connection(stack)


def test_llama_cpp_without_its_wheel_names_the_way_out(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PROVIDER", "llama.cpp")
    monkeypatch.delenv("BASE_URL", raising=False)
    monkeypatch.setattr(llama_server, "is_available", lambda: False)
    with ExitStack() as stack, pytest.raises(ValueError, match="Pass BASE_URL= of a server of your own"):
        connections.choose_connection(stack)
