"""The flows of the page in a real browser."""

from __future__ import annotations

import io
from collections.abc import Callable
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest
from PIL import Image, ImageChops

from examples.app import scans
from qwenvl_core.rendering.open import open_pages
from tests.app.conftest import LiveServer, Server, serve
from tests.emulator import Fault, Reply
from tests.support import llama_server
from tests.support.paths import ROOT
from tests.support.scanned_pages import scan

Visit = Callable[..., Any]
RED = (220, 38, 38)
PICTURES = ROOT / "docs" / "images"
WATCH = """ids => {
  window.texts = Object.fromEntries(ids.map(id => [id, []]));
  for (const id of ids) {
    const element = document.querySelector(`#${id} .html-container`);
    const look = () => window.texts[id].push(element.innerText.trim());
    new MutationObserver(look).observe(element, {childList: true, subtree: true, characterData: true});
  }
}"""


def read(page: Any, name: str = "agreement.pdf", pages: int = 3) -> None:
    """Read a bundled scan to its end."""
    page.get_by_role("button", name=f"Read {name}").click()
    page.locator("#pages").get_by_text(name).wait_for()
    page.locator(f"#pages [data-page='{pages}']").wait_for()


def ask(page: Any, question: str) -> None:
    """Ask a question, and wait for the end of the answer."""
    former = page.locator("#answer").inner_text()
    page.get_by_label("Question").fill(question)
    page.get_by_role("button", name="Ask").click()
    page.wait_for_function(
        "old => document.querySelector('#usage p') && document.querySelector('#answer p')"
        " && document.querySelector('#answer').innerText !== old",
        arg=former,
    )
    settle(page)


def wait_for_usage(page: Any) -> None:
    """Wait for the end of the first answer, which is when its usage is shown."""
    page.locator("#usage p").wait_for()
    settle(page)


def settle(page: Any) -> None:
    """Wait until the other parts of an update are shown too: each part is drawn by itself."""
    page.wait_for_timeout(300)


def notice(page: Any) -> str:
    """Wait for an error, and return it."""
    text: str = page.get_by_role("alert").inner_text()
    return text


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
    with open_pages(scans.EXAMPLES / "agreement.pdf") as pages:
        plain = pages.render(number, lambda extent: picture.size).convert("RGB")
    return ImageChops.difference(picture, plain).getbbox()


def test_page_without_key_names_the_recordings(recorded: Server, visit: Visit) -> None:
    page = visit(recorded)
    text = page.locator("#mode").inner_text()
    assert "Recorded" in text
    assert "no model is called" in text
    assert "emulator" in text


def test_bundled_scan_is_read_with_progress(recorded: Server, visit: Visit) -> None:
    page = visit(recorded)
    page.evaluate(WATCH, ["pages"])
    read(page)
    texts = page.evaluate("window.texts.pages")
    for count in ("0 of 3", "1 of 3", "2 of 3", "3 of 3"):
        assert any(f"{count} pages read" in text for text in texts), count
    assert "8,118 tokens" in texts[-1]
    assert "Cancelling and damage" in texts[-1]


def test_thinking_and_answer_stream_apart(recorded: Server, visit: Visit) -> None:
    page = visit(recorded)
    read(page)
    page.evaluate(WATCH, ["thinking", "answer"])
    page.locator("#questions button").first.click()
    wait_for_usage(page)
    shown = page.evaluate("window.texts")
    thoughts, answers = (list(dict.fromkeys(shown[name])) for name in ("thinking", "answer"))
    for texts in (thoughts, answers):
        assert len(texts) > 5
        assert all(later.startswith(text) for text, later in pairwise(texts)), texts
    assert "1,480.00 / 4 = 370.00." in thoughts[-1]
    assert "1,480.00 / 4 = 370.00." not in answers[-1]
    assert "a quarter of the hire price is kept" in answers[-1]
    assert page.locator("#usage").inner_text().startswith("285 tokens: 224 read, 61 written, 43 of them thinking")


def test_click_on_citation_marks_its_place(recorded: Server, visit: Visit) -> None:
    page = visit(recorded)
    read(page)
    page.locator("#questions button").first.click()
    wait_for_usage(page)
    picture = wait_for_other_picture(page, page.locator("#answer button").first.click)
    assert picture.size == (1344, 1920)
    left, top, right, bottom = find_marks(picture, 3) or (0, 0, 0, 0)
    assert (left, top) == pytest.approx((0.088 * 1344, 0.112 * 1920), abs=2)
    assert (right, bottom) == pytest.approx((0.877 * 1344, 0.163 * 1920), abs=2)
    assert picture.getpixel((left + 1, (top + bottom) // 2)) == RED
    table = wait_for_other_picture(page, page.locator("#sources button").nth(1).click)
    assert (find_marks(table, 2) or (0, 0, 0, 0))[1] == pytest.approx(0.104 * 1920, abs=2)


def test_click_on_page_shows_its_elements(recorded: Server, visit: Visit) -> None:
    page = visit(recorded)
    read(page)
    picture = wait_for_other_picture(page, page.locator("#pages [data-page='1']").click)
    _, top, _, bottom = find_marks(picture, 1) or (0, 0, 0, 0)
    assert (top, bottom) == pytest.approx((0.061 * 1920, 0.278 * 1920), abs=2)


@pytest.mark.parametrize("name", scans.QUESTIONS)
def test_every_listed_question_has_a_recording(recorded: Server, visit: Visit, name: str) -> None:
    page = visit(recorded)
    read(page, name, pages=3 if name == "agreement.pdf" else 1)
    for question in scans.QUESTIONS[name]:
        ask(page, question)
        page.locator("#answer button").first.wait_for()
        assert page.get_by_role("alert").count() == 0


def test_question_without_recording_names_the_ways_out(recorded: Server, visit: Visit) -> None:
    page = visit(recorded)
    read(page)
    page.get_by_label("Question").fill("What is the boat called?")
    page.get_by_role("button", name="Ask").click()
    text = notice(page)
    assert "no recording" in text
    assert "DASHSCOPE_API_KEY" in text
    assert "PROVIDER=llama.cpp" in text


def test_question_before_a_scan_names_the_ways_out(recorded: Server, visit: Visit) -> None:
    page = visit(recorded)
    page.get_by_label("Question").fill("Who?")
    page.get_by_role("button", name="Ask").click()
    assert "Read one of the bundled scans" in notice(page)


def test_own_scan_without_key_names_the_ways_out(recorded: Server, visit: Visit, tmp_path: Path) -> None:
    """A scan of the same size as a bundled one must not get its recording."""
    page = visit(recorded)
    with open_pages(scans.EXAMPLES / "receipt.png") as pages:
        pages.render(1, lambda extent: (360, 420)).convert("L").save(tmp_path / "mine.png")
    page.locator("#scans input[type=file]").set_input_files(tmp_path / "mine.png")
    assert "no recording" in notice(page)
    assert page.locator("#pages button").count() == 0


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("notes.txt", b"Some words.", "Upload a PDF"),
        ("broken.pdf", b"%PDF-1.7 broken", "can't read this PDF"),
        ("long.pdf", scan(scans.MAX_PAGES + 1), "Too many pages: 21"),
        ("<img src=x onerror=alert(1)>.txt", b"Some words.", "Unsupported file"),
    ],
)
def test_wrong_upload_gets_clear_message(
    recorded: Server, visit: Visit, name: str, content: bytes, message: str
) -> None:
    page = visit(recorded)
    upload = {"name": name, "mimeType": "application/octet-stream", "buffer": content}
    page.locator("#scans input[type=file]").set_input_files(upload)
    assert message in notice(page)


def test_too_large_upload_gets_clear_message(recorded: Server, visit: Visit, tmp_path: Path) -> None:
    page = visit(recorded)
    (tmp_path / "large.pdf").write_bytes(b"%PDF-1.7" + bytes(scans.MAX_BYTES))
    page.locator("#scans input[type=file]").set_input_files(tmp_path / "large.pdf")
    page.get_by_text("20").filter(has_text="size").first.wait_for()


def test_two_users_see_their_own_scans(recorded: Server, visit: Visit) -> None:
    first, second = visit(recorded), visit(recorded)
    first.get_by_role("button", name="Read agreement.pdf").click()
    read(second, "receipt.png", pages=1)
    first.locator("#pages [data-page='3']").wait_for()
    ask(second, "How was it paid?")
    ask(first, "Who pays for damage to the boat?")
    assert "By card" in second.locator("#answer").inner_text()
    assert "The hirer" in first.locator("#answer").inner_text()


def test_another_scan_or_question_ends_the_running_answer(recorded: Server, visit: Visit) -> None:
    page = visit(recorded)
    read(page)
    page.locator("#questions button").nth(2).click()
    page.locator("#questions button").first.click()
    page.locator("#thinking p").get_by_text("Six weeks").wait_for()
    page.get_by_label("Question").fill("Who pays for damage to the boat?")
    page.get_by_role("button", name="Ask").click()
    page.locator("#answer p").get_by_text("only if the damage").wait_for()
    page.locator("#questions button").first.click()
    read(page, "receipt.png", pages=1)
    page.locator("#pages").get_by_text("receipt.png").wait_for()


# --- With a key: the emulator answers ---

HOSTILE = (
    "<img src=x onerror=alert(1)><script>alert(2)</script> ${alert(3)} {{constructor.constructor('alert(4)')()}} "
    '`${alert(5)}` "><svg onload=alert(6)> [1] <a href="javascript:alert(7)">x</a>'
)


def test_hostile_texts_are_shown_as_text(live: LiveServer, visit: Visit) -> None:
    """A dialog, a request or an error in the console fails the test; see `visit`."""
    escaped = HOSTILE.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")
    live.emulator.script(
        Reply(text=f'<html><body><p data-bbox="10 10 500 100">Total {escaped}</p></body></html>'),
        Reply(reasoning=HOSTILE, text=HOSTILE),
    )
    page = visit(live)
    assert "Live" in page.locator("#mode").inner_text()
    page.locator("#scans input[type=file]").set_input_files(
        {"name": "mine.pdf", "mimeType": "application/pdf", "buffer": scan(1)}
    )
    page.locator("#pages [data-page='1']").wait_for()
    ask(page, f"What is the total? {HOSTILE}")
    for name in ("thinking", "answer"):
        text = page.locator(f"#{name} p").inner_text()
        assert "<script>alert(2)</script> ${alert(3)} {{constructor" in text
    assert "<script>" in page.locator("#sources").inner_text()
    assert page.locator("#columns").locator("script, svg[onload], img[onerror], a[href^=javascript]").count() == 0


def test_error_of_the_service_is_shown_with_its_hint(live: LiveServer, visit: Visit) -> None:
    live.emulator.script(Fault(status=401, code="invalid_api_key", message="Incorrect API key <b>provided</b>."))
    page = visit(live)
    page.get_by_role("button", name="Read receipt.png").click()
    text = notice(page)
    assert "receipt.png, page 1: Incorrect API key <b>provided</b>." in text
    assert "region" in text
    assert "Traceback" not in text


def test_typed_key_is_sent_and_never_logged(live: LiveServer, visit: Visit) -> None:
    live.emulator.script(Reply(text='<html><body><p data-bbox="10 10 500 100">Total 5</p></body></html>'))
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
    assert page.get_by_label("Base URL").input_value() == "http://localhost:8000/v1"
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
def test_llama_cpp_server_reads_and_answers(visit: Visit, tmp_path: Path) -> None:
    pytest.importorskip("gradio")
    with serve(tmp_path / "output.txt", PROVIDER="llama.cpp") as server:
        page = visit(server)
        assert "llama.cpp answers" in page.locator("#mode").inner_text()
        read(page, "receipt.png", pages=1)
        ask(page, "What is this?")
        assert "Hello! How can I help you today?" in page.locator("#answer").inner_text()
        assert "A greeting." in page.locator("#thinking").inner_text()
        assert "cites nothing" in page.locator("#sources").inner_text()
        page.locator("#sources button").first.click()
        assert "no place" in notice(page)


def test_narrow_window_has_no_horizontal_overflow(recorded: Server, visit: Visit) -> None:
    page = visit(recorded, width=390, height=844)
    read(page)
    ask(page, scans.QUESTIONS["agreement.pdf"][0])
    assert page.evaluate("document.documentElement.scrollWidth") <= 390
    page.locator("#answer button").first.click()
    page.wait_for_function("document.querySelector('#picture').getBoundingClientRect().top < innerHeight")


def test_screenshots(recorded: Server, visit: Visit, pytestconfig: pytest.Config) -> None:
    """Write the screenshots of the documentation."""
    if not pytestconfig.getoption("screenshots", default=False):
        pytest.skip("make app-screenshots takes them")
    page = visit(recorded)
    page.get_by_role("button", name="Read agreement.pdf").click()
    page.locator("#pages").get_by_text("2 of 3 pages read").wait_for()
    save(page, "app-reading")
    page.locator("#pages [data-page='3']").wait_for()
    ask(page, scans.QUESTIONS["agreement.pdf"][0])
    wait_for_other_picture(page, page.locator("#answer button").first.click)
    page.wait_for_function("document.querySelector('#picture img').complete")
    save(page, "app-answer")


def save(page: Any, name: str) -> None:
    """Save a screenshot with a palette of 64 colours, which keeps it small."""
    picture = Image.open(io.BytesIO(page.screenshot())).convert("RGB")
    PICTURES.mkdir(exist_ok=True)
    picture.quantize(64, dither=Image.Dither.NONE).save(PICTURES / f"{name}.png", optimize=True)
