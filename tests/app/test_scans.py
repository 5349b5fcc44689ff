"""What the page does, without the page: limits of files, retrieval, replayed recordings, HTML."""

from __future__ import annotations

import io
from collections.abc import Iterator
from dataclasses import replace

import openai
import pytest
from langchain_core.documents import Document

from examples.app import connections, recordings, rendering, scans
from examples.app.connections import Connection
from examples.app.scans import Scan, Turn
from langchain_qwenvl import ChatQwenVL
from qwenvl_core.errors import QwenVLError, QwenVLInputError
from tests.emulator import Emulator, Fault
from tests.support.pipeline import png
from tests.support.scanned_pages import answer, page_in, scan

HOSTILE = "<script>alert(1)</script> \"quoted\" 'single' & ${x} {{y}}"
replays = pytest.mark.skipif(
    int(openai.__version__.split(".")[0]) < 3, reason="recordings are replayed on httpx2, which openai 3 uses"
)
RECORDED = Connection("model-studio", "qwen3-vl-plus")


def element(text: str, page: int = 1, category: str = "text") -> Document:
    return Document(
        text,
        metadata={"page_number": page, "page_label": str(page), "category": category, "bbox": "[0.1, 0.1, 0.5, 0.2]"},
    )


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
        (bytes(scans.MAX_BYTES + 1), "File too large: 20,971,521 bytes"),
        (scan(scans.MAX_PAGES + 1), "Too many pages: 21. At most 20"),
    ],
)
def test_open_scan_of_unusable_file_raises(data: bytes, message: str) -> None:
    with pytest.raises(QwenVLInputError, match=message):
        scans.open_scan("mine", data)


@pytest.mark.parametrize(("data", "pages"), [(scan(scans.MAX_PAGES), 20), (scan(3, "TIFF"), 3), (png(), 1)])
def test_open_scan_within_the_limits_counts_pages(data: bytes, pages: int) -> None:
    assert scans.open_scan("mine", data).pages == pages


def test_open_bundled_opens_the_bundled_scans_only() -> None:
    assert [scans.open_bundled(name).pages for name in scans.QUESTIONS] == [3, 1]
    with pytest.raises(QwenVLInputError, match=r"Unknown scan: '\.\./pyproject\.toml'\. Bundled: agreement\.pdf"):
        scans.open_bundled("../pyproject.toml")


# --- reading ---


@pytest.fixture
def llm(emulator: Emulator) -> Iterator[ChatQwenVL]:
    emulator.respond = answer
    model = ChatQwenVL(base_url=emulator.compat_url, api_key="sk-test", enable_thinking=False)
    yield model
    model.close()


def test_read_scan_yields_after_each_page(llm: ChatQwenVL) -> None:
    steps = list(scans.read_scan(scans.open_scan("mine.pdf", scan(4)), llm))
    assert [step.pages_read for step in steps] == [1, 2, 3, 4, 4]
    assert [len({element.metadata["page_number"] for element in step.elements}) for step in steps] == [0, 1, 2, 3, 4]
    assert {element.metadata["source"] for element in steps[-1].elements} == {"mine.pdf"}
    tokens = [step.tokens for step in steps]
    assert tokens == sorted(tokens)
    assert tokens[0] > 0


def test_read_scan_with_failing_page_names_file_and_page(llm: ChatQwenVL, emulator: Emulator) -> None:
    emulator.respond = lambda request: Fault(status=400) if page_in(request) == 3 else answer(request)
    steps: list[Scan] = []
    with pytest.raises(QwenVLError, match=r"mine\.pdf, page 3"):
        steps.extend(scans.read_scan(scans.open_scan("mine.pdf", scan(4)), llm, 1))


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
        *_, read = scans.read_scan(scans.open_bundled(name), RECORDED.create_model(reads_pages=True), 1)
        assert read.pages_read == read.pages
    for question in scans.QUESTIONS[name]:
        *_, turn = scans.ask(read, question, RECORDED.create_model())
        assert turn.thinking
        assert "[1]" in turn.answer
        assert turn.usage["total_tokens"] == turn.usage["input_tokens"] + turn.usage["output_tokens"]


@replays
def test_question_without_recording_is_explained() -> None:
    read = replace(scans.open_bundled("receipt.png"), elements=(element("Total 5"),))
    with pytest.raises(QwenVLError) as caught:
        list(scans.ask(read, "Why?", RECORDED.create_model()))
    assert "There is no recording of this." in connections.explain_error(caught.value)


@replays
def test_other_model_without_key_is_explained() -> None:
    model = Connection("model-studio", "qwen3.8-max").create_model(reads_pages=True)
    with pytest.raises(QwenVLError) as caught:
        list(scans.read_scan(scans.open_bundled("receipt.png"), model, 1))
    assert "one model" in connections.explain_error(caught.value)


def test_scan_of_a_bundled_size_has_no_recording() -> None:
    data = io.BytesIO()
    from PIL import Image

    with Image.open(scans.EXAMPLES / "receipt.png") as bundled:
        Image.new("L", bundled.size, 200).save(data, "PNG")
    own = scans.open_scan("receipt.png", data.getvalue())
    with pytest.raises(QwenVLError, match="no recording"):
        connections.check_recorded(RECORDED, own)
    connections.check_recorded(RECORDED, scans.open_bundled("receipt.png"))
    connections.check_recorded(Connection("vllm", "x"), own)


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
        list(scans.read_scan(scans.open_bundled("receipt.png"), connection.create_model(reads_pages=True)))


@pytest.mark.parametrize("provider", connections.PROVIDER_NAMES)
def test_every_provider_has_a_base_url_or_is_the_general_one(provider: str) -> None:
    assert connections.find_base_url(provider).startswith("http") or provider == "openai-compatible"
    assert connections.find_model(provider)


# --- HTML ---


def test_rendered_texts_are_escaped() -> None:
    read = Scan(HOSTILE, b"", 1, 1, (element(HOSTILE),), 5)
    usage = {"total_tokens": 3, "input_tokens": 2, "output_tokens": 1}
    turn = Turn(read, HOSTILE, read.elements, f"{HOSTILE} thought", f"{HOSTILE} [1]", usage)
    live = Connection(HOSTILE, HOSTILE)
    parts = [
        rendering.render_notice(HOSTILE), rendering.render_progress(read, is_reading=True),
        rendering.render_thinking(turn), rendering.render_answer(turn), rendering.render_sources(turn),
    ]  # fmt: skip
    for part in parts:
        assert "<script" not in part
        assert "&lt;script&gt;" in part
    assert "<script" not in rendering.render_usage(turn, replace(live, provider="vllm"))
    assert "<script" not in rendering.render_mode(replace(live, provider="vllm"))


def test_render_answer_links_existing_sources_only() -> None:
    turn = Turn(Scan("x", b"", 1), "?", (element("a"), element("b")), "", "Yes [1], [2], [3], [0] and [99].")
    html = rendering.render_answer(turn)
    assert html.count("<button") == 2
    assert "[3], [0] and [99]." in html


def test_render_sources_without_citation_lists_all() -> None:
    turn = Turn(Scan("x", b"", 1), "?", (element("a"), element("b")), "", "Yes.", {"total_tokens": 1})
    assert rendering.render_sources(turn).count("<button") == 2
    assert "cites nothing" in rendering.render_sources(turn)
    assert rendering.render_sources(replace(turn, answer="Yes [2].")).count("<button") == 1
