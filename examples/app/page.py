"""Build the web page with Gradio: its layout, and what happens on each event."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import gradio as gr
from gradio import processing_utils, utils

from examples.app import rendering, scans
from examples.app.connections import (
    MODELS,
    PROVIDER_NAMES,
    Connection,
    check_recorded,
    explain_error,
    find_base_url,
    find_model,
)
from examples.app.scans import Scan, Turn
from langchain_qwenvl import citation
from qwenvl_core.errors import QwenVLInputError

SECONDS_KEPT = 3600
"""How long a scan, its pictures and its answers are kept after their last use."""
CLICKS = """
element.addEventListener("click", event => {
  const button = event.target.closest("button");
  if (!button) return;
  trigger("click", {...button.dataset});
  if (button.dataset.source) document.querySelector("#picture").scrollIntoView({block: "nearest"});
});
"""
"""Tell the server which button of a block was clicked, by its `data-` attributes; scroll to the page that it marks."""

Update = tuple[Any, ...]
"""New values of the outputs of `show`."""


@dataclass(eq=False)
class Session:
    """One browser tab; `run` counts what it began to read or to ask."""

    run: int = 0


def stop_at_next_run(session: Session, updates: Iterator[Update]) -> Iterator[Update]:
    """Pass updates on until the tab begins something else, which writes into the same outputs."""
    session.run = run = session.run + 1
    for update in updates:
        if session.run != run:
            return
        yield update


async def refuse_download(url: str, cache_dir: str) -> str:
    """Refuse a URL in place of a file: Gradio would fetch what a crafted request names."""
    raise gr.Error("Unsupported upload: a URL. Upload the file itself.")


processing_utils.async_ssrf_protected_download = refuse_download


def read_upload(path: str) -> Scan:
    """Open a file that Gradio itself stored; no other path that a client sends is read.

    Raises:
        QwenVLInputError: The path is not that of an upload, or the file is no scan.
    """
    folder, file = Path(utils.get_upload_folder()).resolve(), Path(path).resolve()
    if not file.is_relative_to(folder) or not file.is_file():
        raise QwenVLInputError("Unsupported path: it is not that of an upload. Upload the file itself.")
    with file.open("rb") as stream:
        return scans.open_scan(file.name, stream.read(scans.MAX_BYTES + 1))


def show(
    scan: Scan | None, turn: Turn | None, connection: Connection, *, notice: str = "", page: int = 0, busy: bool = False
) -> Update:
    """Return the new values of all outputs.

    Args:
        scan: The scan, as far as it is read.
        turn: The last question about it.
        connection: Who answers.
        notice: An error to show.
        page: The page to draw; 0 to leave the picture as it is.
        busy: Whether pages are still being read.
    """
    picture = gr.Image(scans.draw_page(scan, page), visible=True) if scan and page else gr.skip()
    parts = (rendering.render_thinking, rendering.render_answer, rendering.render_sources)
    return (
        scan,
        turn,
        rendering.render_notice(notice),
        rendering.render_progress(scan, busy) if scan else rendering.render_welcome(),
        picture,
        rendering.render_questions(scan),
        *(part(turn) if turn else "" for part in parts),
        rendering.render_usage(turn, connection) if turn else "",
    )


def read(open_file: Callable[[], Scan], connection: Connection) -> Iterator[Update]:
    """Read a scan page by page."""
    scan = None
    try:
        scan = open_file()
        check_recorded(connection, scan)
        yield show(scan, None, connection, page=1, busy=True)
        llm = connection.create_model(reads_pages=True)
        for read_so_far in scans.read_scan(scan, llm, 1 if connection.is_recorded else 4):
            scan = read_so_far
            page = scan.elements[-1].metadata["page_number"] if scan.elements else 0
            yield show(scan, None, connection, page=page, busy=scan.pages_read < scan.pages)
    except Exception as error:
        yield show(scan, None, connection, notice=explain_error(error))


def ask(scan: Scan | None, question: str, *form: str) -> Iterator[Update]:
    """Answer a question about the scan."""
    connection, turn = Connection(*form), None
    try:
        if scan is None or not scan.elements:
            raise QwenVLInputError("There is no scan to ask. Read one of the bundled scans, or upload your own.")
        if not question.strip():
            raise QwenVLInputError("There is no question. Write one, or choose one below the box.")
        for turn in scans.ask(scan, question.strip(), connection.create_model()):
            yield keep_scan(show(scan, turn, connection))
    except Exception as error:
        yield keep_scan(show(scan, turn, connection, notice=explain_error(error)))


def show_page(scan: Scan | None, event: gr.EventData) -> Any:
    """Show a page with the boxes of all its elements."""
    number = read_number(event, "page", scan.pages if scan else 0)
    return gr.Image(scans.draw_page(scan, number), visible=True) if scan and number else gr.skip()


def show_source(turn: Turn | None, event: gr.EventData) -> Update:
    """Show the page of a source with its place marked, or say that the model gave no place."""
    number = read_number(event, "source", len(turn.sources) if turn else 0)
    if turn is None or not number:
        return gr.skip(), ""
    has_place = citation(turn.sources[number - 1]).boxes
    text = "" if has_place else "The model gave no place for this text, so that the page is shown without a mark."
    return gr.Image(scans.draw_source(turn, number), visible=True), rendering.render_notice(text)


def keep_scan(update: Update) -> Update:
    """Leave the scan, its pages and its questions as they are: another one may be read meanwhile."""
    _, turn, notice, _, _, _, *answer = update
    return gr.skip(), turn, notice, gr.skip(), gr.skip(), gr.skip(), *answer


def ask_listed(scan: Scan | None, event: gr.EventData, *form: str) -> Iterator[Update]:
    """Answer a question of the list, and write it into the box."""
    questions = scans.QUESTIONS.get(scan.name, ()) if scan else ()
    number = read_number(event, "question", len(questions))
    if number:
        text: Any = questions[number - 1]
        for update in ask(scan, questions[number - 1], *form):
            yield text, *update
            text = gr.skip()  # another question may be typed meanwhile


def read_number(event: gr.EventData, name: str, count: int) -> int:
    """Return the number from 1 to `count` that a button sent; 0 for anything else."""
    text = str((event._data or {}).get(name))
    return int(text) if text.isdecimal() and len(text) < 4 and 1 <= int(text) <= count else 0


def change_provider(provider: str) -> Update:
    """Return model, base URL and key for another provider: a typed key belongs to the former one."""
    choices = MODELS if provider == "model-studio" else []
    return gr.Dropdown(value=find_model(provider), choices=choices), find_base_url(provider), ""


def create_block(name: str, value: str = "") -> gr.HTML:
    """Create a block of HTML that `style.css` lays out, and whose buttons send clicks."""
    return gr.HTML(value, elem_id=name, js_on_load=CLICKS, apply_default_css=False)


def build_page(start: Connection) -> gr.Blocks:
    """Build the page.

    Args:
        start: What the form says at first.
    """
    with gr.Blocks(
        title="Ask a scan", fill_width=True, analytics_enabled=False, delete_cache=(600, SECONDS_KEPT)
    ) as page:
        session = gr.State(Session())
        scan, turn = (gr.State(None, time_to_live=SECONDS_KEPT) for _ in range(2))
        mode = create_block("mode", rendering.render_mode(start))
        with gr.Row(elem_id="columns"):
            with gr.Column(scale=5, min_width=320):
                with gr.Row(elem_id="scans"):
                    bundled = [
                        gr.Button(f"Read {name}", variant="primary", size="md", min_width=100)
                        for name in scans.QUESTIONS
                    ]
                    upload = gr.UploadButton("Upload a scan", size="md", min_width=100)
                pages = create_block("pages", rendering.render_welcome())
                picture = gr.Image(
                    show_label=False, format="png", interactive=False, visible=False, buttons=["fullscreen"],
                    elem_id="picture", alt_text="The page, with the places marked",
                )  # fmt: skip
            with gr.Column(scale=6, min_width=320):
                notice = create_block("notice")
                question = gr.Textbox(
                    label="Question", placeholder="Read a scan, then ask about it", submit_btn="Ask", max_length=2000,
                    elem_id="question",
                )  # fmt: skip
                questions = create_block("questions")
                thinking, answer, sources, usage = map(create_block, ("thinking", "answer", "sources", "usage"))
                with gr.Accordion("Model and provider", open=False, elem_id="form"):
                    with gr.Row():
                        provider = gr.Dropdown(PROVIDER_NAMES, value=start.provider, label="Provider")
                        model = gr.Dropdown(MODELS, value=start.model, label="Model", allow_custom_value=True)
                    with gr.Row():
                        base_url = gr.Textbox(start.base_url, label="Base URL", max_length=500)
                        key = gr.Textbox(label="Key, kept in this tab", type="password", max_length=500)

        form = [provider, model, base_url, key]
        outputs = [scan, turn, notice, pages, picture, questions, thinking, answer, sources, usage]
        options: dict[str, Any] = {"show_progress": "hidden", "api_visibility": "private"}

        def read_file(session: Session, path: str, *values: str) -> Iterator[Update]:
            yield from stop_at_next_run(session, read(lambda: read_upload(path), Connection(*values)))

        def read_bundled(name: str) -> Callable[..., Iterator[Update]]:
            def handle(session: Session, *values: str) -> Iterator[Update]:
                yield from stop_at_next_run(session, read(lambda: scans.open_bundled(name), Connection(*values)))

            return handle

        def ask_typed(session: Session, *values: Any) -> Iterator[Update]:
            yield from stop_at_next_run(session, ask(*values))

        def ask_picked(session: Session, scan: Scan | None, event: gr.EventData, *values: str) -> Iterator[Update]:
            yield from stop_at_next_run(session, ask_listed(scan, event, *values))

        run_options = {**options, "trigger_mode": "multiple"}
        for button, name in zip(bundled, scans.QUESTIONS, strict=True):
            button.click(read_bundled(name), [session, *form], outputs, **run_options)
        upload.upload(read_file, [session, upload, *form], outputs, **run_options)
        question.submit(ask_typed, [session, scan, question, *form], outputs, **run_options)
        questions.click(ask_picked, [session, scan, *form], [question, *outputs], **run_options)
        pages.click(show_page, scan, picture, **options)
        gr.on([answer.click, sources.click], show_source, turn, [picture, notice], **options)
        provider.input(change_provider, provider, [model, base_url, key], **options)
        gr.on(
            [component.change for component in form], lambda *values: rendering.render_mode(Connection(*values)), form,
            mode, **options,
        )  # fmt: skip
    page.queue(default_concurrency_limit=8, max_size=64)
    return page
