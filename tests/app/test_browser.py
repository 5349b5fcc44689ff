"""The flows of the page in a real browser."""

from __future__ import annotations

import io
import socket
import threading
from collections.abc import Callable, Iterator
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest
from PIL import Image, ImageChops

from examples.app import scans
from qwenvl_core.rendering.open import open_pages as open_document
from tests.app.conftest import SECONDS, LiveServer, Server, open_pages, serve
from tests.emulator import Fault, Reply
from tests.support import llama_server
from tests.support.paths import ROOT
from tests.support.scanned_pages import answer, page_in, scan

Visit = Callable[..., Any]
RED = (220, 38, 38)
PICTURES = ROOT / "docs" / "images"
WATCH = """() => {
  window.texts = {};
  setInterval(() => {
    for (const id of ["progress", "thinking", "answer"]) {
      const element = document.querySelector(`#${id}`);
      const text = element.querySelector("textarea")?.value ?? element.querySelector(".textfield, .prose")?.innerText;
      const seen = window.texts[id] ??= [];
      if (text && seen.at(-1) !== text) seen.push(text);
    }
  }, 10);
}"""
"""Note the texts that the parts of the page show one after the other."""

NOTE_NEW_ANSWER = """() => {
  const usage = document.querySelector("#usage");
  const look = () => window.isNew ||= !usage.innerText.includes("tokens");
  window.isNew = false;
  look();
  new MutationObserver(look).observe(usage, {childList: true, subtree: true, characterData: true});
}"""
"""Note when the usage of a former answer is gone."""


def read(page: Any, name: str = "agreement.pdf", pages: int = 3) -> None:
    """Read a bundled scan to its end."""
    page.get_by_role("button", name=f"Read {name}").click()
    page.locator("#progress").get_by_text(f"{name}: {pages} of {pages} pages read").wait_for()
    page.locator(f"#pages [value='{pages}']:checked").wait_for()


def ask(page: Any, question: str) -> str:
    """Ask a question, wait for the end of the answer, and return it."""
    page.evaluate(NOTE_NEW_ANSWER)
    page.get_by_label("Question").fill(question)
    page.get_by_role("button", name="Ask").click()
    page.wait_for_function("window.isNew")
    return wait_for_answer(page)


def wait_for_answer(page: Any) -> str:
    """Wait for the end of an answer, which is when its usage and sources are shown, and return it."""
    page.locator("#usage").get_by_text("tokens").wait_for()
    page.locator("#sources label").first.wait_for()
    page.wait_for_timeout(100)  # each part of an update is drawn by itself
    text: str = page.locator("#answer .textfield").inner_text()
    return text


def notice(page: Any) -> str:
    """Wait for an error, return it and close it."""
    text: str = page.get_by_test_id("toast-text").inner_text()
    page.get_by_test_id("toast-close").click()
    page.get_by_test_id("toast-body").wait_for(state="detached")
    return text


def upload(page: Any, file: Any) -> None:
    """Choose a file, as the dialog of the button does."""
    page.locator("input[type=file]").first.set_input_files(file)


def fetch_picture(page: Any) -> Image.Image:
    """Fetch the picture of the page as it is served."""
    response = page.request.get(page.locator("#picture img").get_attribute("src"))
    return Image.open(io.BytesIO(response.body())).convert("RGB")


def wait_for_other_picture(page: Any, act: Callable[[], None]) -> Image.Image:
    """Do something that changes the picture, and return the new one."""
    old = page.locator("#picture img").get_attribute("src")
    act()
    page.wait_for_function("old => document.querySelector('#picture img')?.src !== old", arg=old)
    return fetch_picture(page)


def find_marks(picture: Image.Image, number: int) -> tuple[int, int, int, int] | None:
    """Return the bounds of what is drawn on a page of the agreement."""
    with open_document(scans.EXAMPLES / "agreement.pdf") as pages:
        plain = pages.render(number, lambda extent: picture.size).convert("RGB")
    return ImageChops.difference(picture, plain).getbbox()


def test_page_without_key_names_the_recordings(recorded: Server, visit: Visit) -> None:
    page = visit(recorded)
    text = page.locator("#mode").inner_text()
    assert "Recorded" in text
    assert "no model is called" in text
    assert "emulator" in text


@pytest.fixture(scope="module")
def agreement(recorded: Server, browser: Any) -> Iterator[Any]:
    """The page after it has read the bundled agreement, for tests that ask about it."""
    with open_pages(browser) as visit:
        page = visit(recorded)
        page.evaluate(WATCH)
        read(page)
        yield page


def test_bundled_scan_is_read_with_progress(agreement: Any) -> None:
    texts = agreement.evaluate("window.texts.progress")
    assert [text.partition(" pages")[0] for text in texts[-4:]] == [f"agreement.pdf: {n} of 3" for n in range(4)]
    assert "8,118 tokens" in texts[-1]


def test_thinking_and_answer_stream_apart(agreement: Any) -> None:
    agreement.locator("#questions button").first.click()
    wait_for_answer(agreement)
    shown = agreement.evaluate("window.texts")
    for name in ("thinking", "answer"):
        assert len(shown[name]) > 5
        assert all(later.startswith(text.rstrip()) for text, later in pairwise(shown[name])), shown[name]
    assert "1,480.00 / 4 = 370.00." in shown["thinking"][-1]
    assert "1,480.00 / 4 = 370.00." not in shown["answer"][-1]
    assert "a quarter of the hire price is kept" in shown["answer"][-1]
    usage = agreement.locator("#usage").inner_text()
    assert usage.startswith("285 tokens: 224 read, 61 written, 43 of them thinking")


def test_click_on_citation_marks_its_place(agreement: Any) -> None:
    ask(agreement, scans.QUESTIONS["agreement.pdf"][0])
    picture = wait_for_other_picture(agreement, agreement.locator("#answer").get_by_text("[1]", exact=True).click)
    assert picture.size == (1344, 1920)
    left, top, right, bottom = find_marks(picture, 3) or (0, 0, 0, 0)
    assert (left, top) == pytest.approx((0.088 * 1344, 0.112 * 1920), abs=2)
    assert (right, bottom) == pytest.approx((0.877 * 1344, 0.163 * 1920), abs=2)
    assert picture.getpixel((left + 1, (top + bottom) // 2)) == RED
    table = wait_for_other_picture(agreement, agreement.locator("#sources label").nth(1).click)
    assert (find_marks(table, 2) or (0, 0, 0, 0))[1] == pytest.approx(0.104 * 1920, abs=2)
    agreement.locator("#pages [value='2']:checked").wait_for()
    agreement.locator("#answer").get_by_text("a quarter of").click()  # words without a source change nothing


def test_click_on_page_shows_its_elements(agreement: Any) -> None:
    picture = wait_for_other_picture(agreement, agreement.locator("#pages [value='1']").click)
    _, top, _, bottom = find_marks(picture, 1) or (0, 0, 0, 0)
    assert (top, bottom) == pytest.approx((0.061 * 1920, 0.278 * 1920), abs=2)


@pytest.mark.parametrize("question", scans.QUESTIONS["agreement.pdf"])
def test_every_question_about_the_agreement_has_a_recording(agreement: Any, question: str) -> None:
    assert "[1]" in ask(agreement, question)


def test_question_without_recording_names_the_ways_out(agreement: Any) -> None:
    agreement.get_by_label("Question").fill("What is the boat called?")
    agreement.get_by_role("button", name="Ask").click()
    text = notice(agreement)
    assert text.startswith("There is no recording of this.")
    assert text.endswith("with DASHSCOPE_API_KEY set or with PROVIDER=llama.cpp.")


def test_question_before_a_scan_names_the_ways_out(recorded: Server, visit: Visit) -> None:
    page = visit(recorded)
    page.get_by_label("Question").fill("Who?")
    page.get_by_role("button", name="Ask").click()
    assert "Read one of the bundled scans" in notice(page)


def test_own_scan_without_key_names_the_ways_out(recorded: Server, visit: Visit, tmp_path: Path) -> None:
    """A scan of the same size as a bundled one must not get its recording."""
    page = visit(recorded)
    with open_document(scans.EXAMPLES / "receipt.png") as pages:
        pages.render(1, lambda extent: (360, 420)).convert("L").save(tmp_path / "receipt.png")
    upload(page, tmp_path / "receipt.png")
    assert "no recording" in notice(page)
    assert page.locator("#pages label").count() == 0


def test_wrong_upload_gets_clear_message(recorded: Server, visit: Visit, tmp_path: Path) -> None:
    page = visit(recorded)
    for name, content, message in (
        ("notes.txt", b"Some words.", "Upload a PDF"),
        ("broken.pdf", b"%PDF-1.7 broken", "can't read this PDF"),
        ("long.pdf", scan(scans.MAX_PAGES + 1), "Too many pages: 21"),
        ("<img src=x onerror=alert(1)>.txt", b"Some words.", "Unsupported file"),
    ):
        upload(page, {"name": name, "mimeType": "application/octet-stream", "buffer": content})
        assert message in notice(page)
    (tmp_path / "large.pdf").write_bytes(b"%PDF-1.7" + bytes(scans.MAX_BYTES))
    upload(page, tmp_path / "large.pdf")
    assert "20" in notice(page)


def test_two_tabs_have_their_own_scans(agreement: Any, recorded: Server, visit: Visit) -> None:
    other = visit(recorded)
    agreement.get_by_role("button", name="Read agreement.pdf").click()
    read(other, "receipt.png", pages=1)
    for question in scans.QUESTIONS["receipt.png"]:
        answer = ask(other, question)
    assert "By card" in answer
    agreement.locator("#progress").get_by_text("3 of 3").wait_for()
    agreement.locator("#questions button").nth(1).wait_for()
    assert "The hirer" in ask(agreement, "Who pays for damage to the boat?")


def test_another_scan_or_question_ends_the_running_answer(recorded: Server, visit: Visit) -> None:
    page = visit(recorded)
    read(page)
    page.locator("#questions button").nth(2).click()
    page.locator("#questions button").first.click()
    page.wait_for_function("document.querySelector('#thinking textarea').value.includes('Six weeks')")
    page.get_by_label("Question").fill("Who pays for damage to the boat?")
    page.get_by_role("button", name="Ask").click()
    page.locator("#answer").get_by_text("only if the damage").wait_for()
    page.locator("#questions button").first.click()
    page.wait_for_function("document.querySelector('#thinking textarea').value.includes('Six weeks')")
    page.get_by_role("button", name="Stop").click()
    page.wait_for_timeout(300)
    stopped = page.locator("#thinking textarea").input_value()
    page.wait_for_timeout(300)
    assert page.locator("#thinking textarea").input_value() == stopped
    page.locator("#questions button").first.click()
    read(page, "receipt.png", pages=1)
    page.wait_for_timeout(300)
    assert page.locator("#thinking textarea").input_value() == ""
    page.reload()
    page.get_by_text("Read one of the bundled scans").wait_for()


# --- With a key: the emulator answers ---

HOSTILE = (
    "<img src=x onerror=alert(1)><script>alert(2)</script> ${alert(3)} {{constructor.constructor('alert(4)')()}} "
    '`${alert(5)}` "><svg onload=alert(6)> [1] <a href="javascript:alert(7)">x</a>'
)
PAGE = Reply(text='<html><body><p data-bbox="10 10 500 100">Total 5</p></body></html>')


def test_hostile_texts_are_shown_as_text(live: LiveServer, visit: Visit) -> None:
    """A dialog, a request or an error in the console fails the test; see `visit`."""
    escaped = HOSTILE.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")
    live.emulator.script(
        Reply(text=f'<html><body><p data-bbox="10 10 500 100">Total {escaped}</p></body></html>'),
        Reply(reasoning=HOSTILE, text=HOSTILE),
    )
    page = visit(live)
    assert "Live" in page.locator("#mode").inner_text()
    upload(page, {"name": "${alert(8)}{{alert(9)}}.pdf", "mimeType": "application/pdf", "buffer": scan(1)})
    page.locator("#progress").get_by_text("1 of 1 pages read").wait_for()
    answer = ask(page, f"What is the total? {HOSTILE}")
    for text in (answer, page.locator("#thinking textarea").input_value()):
        assert "<script>alert(2)</script> ${alert(3)} {{constructor" in text
    assert "<script>" in page.locator("#sources").inner_text()
    assert page.locator("main").locator("script, svg[onload], img[onerror], a[href^=javascript]").count() == 0


def test_error_of_the_service_is_shown_with_its_hint(live: LiveServer, visit: Visit) -> None:
    live.emulator.script(Fault(status=401, code="invalid_api_key", message="Incorrect API key <b>provided</b>."))
    page = visit(live)
    page.get_by_role("button", name="Read receipt.png").click()
    text = notice(page)
    assert "receipt.png, page 1: Incorrect API key <b>provided</b>." in text
    assert "region" in text
    assert "Traceback" not in text


@pytest.mark.parametrize(
    ("fault", "message"),
    [
        ({"reset": "after-events"}, "connection"),
        ({"close_without_finish": True}, "finish"),
        ({"error_format": "in-stream", "status": 500, "message": "<b>Overloaded</b>"}, "<b>Overloaded</b>"),
    ],
)
def test_error_within_a_stream_is_shown_and_keeps_what_came(
    live: LiveServer, visit: Visit, fault: dict[str, Any], message: str
) -> None:
    began = Reply(reasoning=["Let me ", "see."], text=["The total ", "is 5 [1]", " or 6."])
    live.emulator.script(PAGE, Fault(reply=began, after=4, **fault))
    page = visit(live)
    read(page, "receipt.png", pages=1)
    page.get_by_label("Question").fill("What is the total?")
    page.get_by_role("button", name="Ask").click()
    assert message in notice(page)
    assert page.locator("#thinking textarea").input_value() == "Let me see."
    assert "The total" in page.locator("#answer").inner_text()


def test_pages_are_read_on_while_a_question_is_answered(live: LiveServer, visit: Visit) -> None:
    gate = threading.Event()
    live.emulator.respond = lambda request: answer_with_gate(request, gate)
    page = visit(live)
    upload(page, {"name": "mine.pdf", "mimeType": "application/pdf", "buffer": scan(3)})
    page.locator("#progress").get_by_text("2 of 3 pages read").wait_for()
    page.locator("#pages [value='2']:checked").wait_for()
    page.wait_for_timeout(100)  # each part of an update is drawn by itself
    colors = {color for _, color in fetch_picture(page).getcolors(2**24) or ()}
    assert RED in colors  # the elements of the page just read
    assert "Yes." in ask(page, "Is it so?")
    gate.set()
    page.locator("#progress").get_by_text("3 of 3 pages read").wait_for()
    assert "Yes." in page.locator("#answer").inner_text()


def answer_with_gate(request: Any, gate: threading.Event) -> Reply:
    """Read pages, of which the last one waits for the gate, and answer questions."""
    if "image" not in str(request.body):
        return Reply(text="Yes.")
    if page_in(request) == 3:
        gate.wait(SECONDS)
    return answer(request)


def test_typed_key_is_sent_and_never_logged(live: LiveServer, visit: Visit) -> None:
    live.emulator.script(PAGE)
    page = visit(live)
    page.get_by_text("Model and provider").click()
    field = page.get_by_label("Key")
    assert field.get_attribute("type") == "password"
    field.fill("sk-typed-by-the-user")
    read(page, "receipt.png", pages=1)
    assert live.emulator.requests[-1].headers["authorization"] == "Bearer sk-typed-by-the-user"
    stored = page.evaluate("JSON.stringify({...localStorage, ...sessionStorage})")
    page.get_by_label("Provider").click()
    page.get_by_role("option", name="vllm").click()
    page.wait_for_function("document.querySelector('#form input[type=password]').value === ''")
    assert page.get_by_label("Base URL").input_value() == ""
    assert "vllm" in page.locator("#mode").inner_text()
    for text in (stored, live.output.read_text()):
        assert "sk-typed" not in text
        assert "sk-environment" not in text


def test_server_that_does_not_answer_is_named(live: LiveServer, visit: Visit) -> None:
    page = visit(live)
    page.get_by_text("Model and provider").click()
    page.get_by_label("Base URL").fill("http://127.0.0.1:9/v1")
    page.locator("#mode").get_by_text("http://127.0.0.1:9/v1").wait_for()
    read_button = page.get_by_role("button", name="Read receipt.png")
    read_button.click()
    assert "base_url" in notice(page)


@pytest.mark.llama_cpp
@pytest.mark.skipif(not llama_server.is_available(), reason=llama_server.REASON)
def test_llama_cpp_server_reads_and_answers_at_the_next_free_port(visit: Visit, tmp_path: Path) -> None:
    pytest.importorskip("gradio")
    (tmp_path / "temporary").mkdir()
    with socket.socket() as busy:
        busy.bind(("127.0.0.1", 0))
        busy.listen()
        port = str(busy.getsockname()[1])
        variables = {"PROVIDER": "llama.cpp", "PORT": port, "TMPDIR": str(tmp_path / "temporary")}
        with serve(tmp_path / "output.txt", **variables) as server:
            assert port not in server.url
            page = visit(server)
            assert "llama.cpp" in page.locator("#mode").inner_text()
            read(page, "receipt.png", pages=1)
            assert "Hello! How can I help you today?" in ask(page, "What is this?")
            assert "A greeting." in page.locator("#thinking textarea").input_value()
            assert "cites nothing" in page.locator("#sources").inner_text()
            page.locator("#sources label").first.click()
            assert "no place" in notice(page)
            page.context.close()
            assert server.stop() == 0
    assert list((tmp_path / "temporary").iterdir()) == []  # ended without a trace
    assert "Traceback" not in server.output.read_text()


def test_narrow_window_has_no_horizontal_overflow(recorded: Server, visit: Visit) -> None:
    page = visit(recorded, width=390, height=844)
    read(page)
    ask(page, scans.QUESTIONS["agreement.pdf"][0])
    assert page.evaluate("document.documentElement.scrollWidth") <= 390
    page.locator("#answer").get_by_text("[1]", exact=True).click()
    page.wait_for_function("document.querySelector('#picture').getBoundingClientRect().bottom > innerHeight / 2")


def test_screenshots(recorded: Server, visit: Visit, pytestconfig: pytest.Config) -> None:
    """Write the screenshots of the documentation."""
    if not pytestconfig.getoption("screenshots", default=False):
        pytest.skip("make app-screenshots takes them")
    page = visit(recorded)
    page.get_by_role("button", name="Read agreement.pdf").click()
    page.locator("#progress").get_by_text("2 of 3 pages read").wait_for()
    save(page, "app-reading")
    page.locator("#pages [value='3']:checked").wait_for()
    ask(page, scans.QUESTIONS["agreement.pdf"][0])
    wait_for_other_picture(page, page.locator("#answer").get_by_text("[1]", exact=True).click)
    page.wait_for_function("document.querySelector('#picture img').complete")
    save(page, "app-answer")


def save(page: Any, name: str) -> None:
    """Save a screenshot with a palette of 64 colours, which keeps it small."""
    picture = Image.open(io.BytesIO(page.screenshot())).convert("RGB")
    PICTURES.mkdir(exist_ok=True)
    picture.quantize(64, dither=Image.Dither.NONE).save(PICTURES / f"{name}.png", optimize=True)
