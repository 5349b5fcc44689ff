"""Build the web page with Gradio: its layout, and what happens on each event."""

import re
from collections.abc import Callable, Iterator
from functools import partial
from html import escape
from typing import Any

import gradio as gr
from langchain_core.documents import Document

from examples.app import scans
from examples.app.connections import MODELS, PROVIDER_NAMES, Connection
from examples.app.guard import check_upload
from examples.app.recordings import NO_RECORDING, load_recordings
from examples.app.scans import Scan, Turn
from langchain_qwenvl import citation, highlight
from qwenvl_core.errors import QwenVLInputError

WELCOME = (
    f"Read one of the bundled scans, or upload a PDF or a picture of your own (at most {scans.MAX_PAGES} pages and "
    f"{scans.MAX_BYTES // 2**20} MB). Then ask, and click a number in the answer to see its place on the page."
)
CITATION = re.compile(r"(\[\d{1,2}\])")
SOURCE = "source"
"""Label of the numbers in an answer that can be clicked."""
QUOTE = 150
"""Characters of a source that are shown."""
CSS = "textarea, .textfield, #sources label { unicode-bidi: plaintext; text-align: start; }"
"""Align each paragraph by its own script."""

SCROLL = "(...values) => { document.querySelector('#picture').scrollIntoView({block: 'nearest'}); return values; }"
"""Make the browser show the picture, which is far above the answer on a narrow screen."""

Update = tuple[Any, ...]
"""New values of the outputs of an event."""


def run_alone(handler: Callable[..., Iterator[Update]], *kinds: str) -> Callable[..., Iterator[Update]]:
    """Show a handler's errors, and end it when its tab starts another one of the first of these kinds."""

    def run(tab: dict[str, Any], *values: Any) -> Iterator[Update]:
        this = object()
        tab.update(dict.fromkeys(kinds, this))
        try:
            for update in handler(*values):
                if tab.get(kinds[0]) is not this:
                    return
                yield update
        except Exception as error:
            if tab.get(kinds[0]) is this:
                text = NO_RECORDING if NO_RECORDING in str(error) else str(error)  # without the hint of its status
                raise gr.Error(escape(text), duration=None, print_exception=False) from error

    return run


def read(file: Any, *form: str) -> Iterator[Update]:
    """Read a bundled scan (a name) or an upload (a path) page by page."""
    connection = Connection(*form)
    scan = scans.open_scan(scans.EXAMPLES / file if file in scans.QUESTIONS else check_upload(file))
    # Recordings are found by an image's size, so another scan of that size would get the text of a bundled one.
    if connection.is_recorded and file not in scans.QUESTIONS:
        raise QwenVLInputError(NO_RECORDING)
    yield *show_scan(scan, 1), *show_turn(Turn(()), connection)
    llm = connection.create_model(reads_pages=True)
    for read_so_far in scans.read_scan(scan, llm, 1 if connection.is_recorded else 4):
        yield *show_scan(read_so_far, read_so_far.pages_read), *[gr.skip()] * 5


def show_scan(scan: Scan, page: int) -> Update:
    """Return the scan, its progress, the picture of a page, the pages to choose from, and the recorded questions."""
    text = f"{escape(scan.name)}: {scan.pages_read} of {scan.pages} pages read, {scan.tokens:,} tokens"
    bar = f'<progress max="{scan.pages}" value="{scan.pages_read}" style="width: 100%"></progress>'
    numbers = list(range(1, scan.pages_read + 1))
    questions = scans.QUESTIONS.get(scan.name, ()) if scan.pages_read == scan.pages else ()
    return (
        scan,
        text + bar,
        gr.Image(scans.draw_page(scan, page), visible=True),
        gr.Radio(numbers, value=page if numbers else None, visible=bool(numbers)),
        gr.Dataset(samples=[[question] for question in questions], visible=bool(questions)),
    )


def ask(scan: Scan | None, question: Any, *form: str) -> Iterator[Update]:
    """Answer a question about the scan, which was typed or is a sample of the list."""
    connection = Connection(*form)
    text = str(question[0] if isinstance(question, list) else question).strip()
    if scan is None or not scan.elements:
        raise QwenVLInputError("There is no scan to ask. Read one of the bundled scans, or upload your own.")
    if not text:
        raise QwenVLInputError("There is no question. Write one, or choose one below the box.")
    shown: Any = text
    for turn in scans.ask(scan, text, connection.create_model()):
        yield shown, *show_turn(turn, connection)
        shown = gr.skip()  # another question may be typed meanwhile


def show_turn(turn: Turn, connection: Connection) -> Update:
    """Return sources, thinking and answer with its citations; at the end also sources to choose from and usage."""
    parts = CITATION.split(turn.answer.lstrip())
    answer = [(part, SOURCE if find_number(part, turn.sources) else None) for part in parts]
    end = (list_sources(turn), describe_usage(turn, connection)) if turn.usage else (gr.Radio(visible=False), "")
    return turn.sources, turn.thinking.lstrip(), answer, *end


def find_number(text: str, sources: tuple[Document, ...]) -> int:
    """Return the number of the source that a text such as [1] cites; 0 if it cites none."""
    number = int(text[1:-1]) if CITATION.fullmatch(text) else 0
    return number if number <= len(sources) else 0


def list_sources(turn: Turn) -> gr.Radio:
    """Return the choices of the sources that the answer cites; all of them, where it cites none."""
    cited = {find_number(text, turn.sources) for text in CITATION.findall(turn.answer)} - {0}
    choices = []
    for number, source in enumerate(turn.sources, 1):
        text = " ".join(source.page_content.split())
        quote = text if len(text) <= QUOTE else f"{text[: QUOTE - 1]}…"
        if number in cited or not cited:
            choices.append((f"[{number}] page {citation(source).page_label}: {quote}", number))
    label = "Cited" if cited else "The answer cites nothing. It had these sources"
    return gr.Radio(choices, value=None, label=label, visible=True)


def describe_usage(turn: Turn, connection: Connection) -> str:
    """Describe the tokens of a turn; no price, because it differs by model, region and account."""
    thinking = turn.usage.get("output_token_details", {}).get("reasoning", 0)
    note = "as recorded, nothing is billed" if connection.is_recorded else "the price is the provider’s"
    return (
        f"{turn.usage['total_tokens']:,} tokens: {turn.usage['input_tokens']:,} read, "
        f"{turn.usage['output_tokens']:,} written, {thinking:,} of them thinking ({note})"
    )


def describe_mode(*form: str) -> str:
    """Describe who answers, in HTML."""
    connection = Connection(*form)
    if not connection.is_recorded:
        address = f" ({escape(connection.base_url)})" if connection.base_url else ""
        return f"<b>Live</b>: {escape(connection.model)} at {escape(connection.provider)}{address} answers."
    is_live = load_recordings()["provenance"] == "live"
    source = "a live model" if is_live else "the project’s emulator, with replies written for it"
    return (
        "<b>Recorded</b>: there is no key, so no model is called. Recordings answer for the two bundled scans and the "
        f"questions below the box. They come from {source}."
    )


def show_source(scan: Scan, sources: tuple[Document, ...], number: int) -> Any:
    """Show the page of a source with its place marked, or say that the model gave no place."""
    if not citation(sources[number - 1]).boxes:
        gr.Info("The model gave no place for this text, so that the page is shown without a mark.")
    return highlight(sources[number - 1], scan.data), sources[number - 1].metadata["page_number"]


def show_citation(scan: Scan, sources: tuple[Document, ...], event: gr.SelectData) -> Any:
    """Show the source whose number in the answer was clicked."""
    number = find_number(str(event.value[0]), sources)
    return show_source(scan, sources, number) if number else (gr.skip(), gr.skip())


def build_page(start: Connection) -> gr.Blocks:
    """Build the page.

    Args:
        start: What the form says at first.
    """
    with gr.Blocks(title="Ask a scan", fill_width=True, analytics_enabled=False) as page:
        tab, scan, sources = gr.State({}), gr.State(None), gr.State(())
        gr.Markdown("# Ask a scan")
        mode = gr.HTML(describe_mode(start.provider, start.model, start.base_url), elem_id="mode", padding=False)
        with gr.Row():
            with gr.Column(scale=5, min_width=320):
                with gr.Row():
                    bundled = [gr.Button(f"Read {name}", size="sm", min_width=100) for name in scans.QUESTIONS]
                    upload = gr.UploadButton("Upload a scan", size="sm", variant="primary", min_width=100)
                progress = gr.HTML(WELCOME, elem_id="progress", padding=False)
                pages = gr.Radio([], label="Page", visible=False, elem_id="pages")
                picture = gr.Image(
                    show_label=False, format="png", interactive=False, visible=False, buttons=["fullscreen"],
                    elem_id="picture", height="75vh",
                )  # fmt: skip
            with gr.Column(scale=6, min_width=320):
                question = gr.Textbox(
                    label="Question", placeholder="Read a scan, then ask about it", submit_btn="Ask", stop_btn="Stop",
                    max_length=2000,
                )  # fmt: skip
                questions = gr.Dataset(
                    components=[question], samples=[], label="Questions", visible=False, elem_id="questions"
                )
                thinking = gr.Textbox(label="Thinking", lines=3, max_lines=8, interactive=False, elem_id="thinking")
                answer = gr.HighlightedText(
                    [], label="Answer", show_inline_category=False, color_map={SOURCE: "red"}, elem_id="answer"
                )
                cited = gr.Radio([], visible=False, elem_id="sources")
                usage = gr.Markdown(elem_id="usage")
                with gr.Accordion("Model and provider", open=False, elem_id="form"):
                    with gr.Row():
                        provider = gr.Dropdown(PROVIDER_NAMES, value=start.provider, label="Provider")
                        model = gr.Dropdown(MODELS, value=start.model, label="Model", allow_custom_value=True)
                    with gr.Row():
                        base_url = gr.Textbox(start.base_url, label="Base URL", placeholder="the provider’s usual one")
                        key = gr.Textbox(label="Key, kept in this tab", type="password", max_length=500)

        form = [provider, model, base_url, key]
        options: dict[str, Any] = {"show_progress": "hidden", "api_visibility": "private"}
        runs = {**options, "trigger_mode": "multiple"}
        turn_outputs = [sources, thinking, answer, cited, usage]
        read_outputs = [scan, progress, picture, pages, questions, *turn_outputs]
        for button, name in zip(bundled, scans.QUESTIONS, strict=True):
            button.click(run_alone(partial(read, name), "read", "ask"), [tab, *form], read_outputs, **runs)
        upload.upload(run_alone(read, "read", "ask"), [tab, upload, *form], read_outputs, **runs)
        for event, source in ((question.submit, question), (questions.click, questions)):
            event(run_alone(ask, "ask"), [tab, scan, source, *form], [question, *turn_outputs], **runs)
        question.stop(dict.clear, tab, **options)
        pages.input(scans.draw_page, [scan, pages], picture, **options)
        cited.input(show_source, [scan, sources, cited], [picture, pages], js=SCROLL, **options)
        answer.select(show_citation, [scan, sources], [picture, pages], js=SCROLL, **options)
        provider.input(lambda: ("", ""), None, [base_url, key], **options)  # a typed key is that of the former one
        gr.on([component.change for component in form], describe_mode, form, mode, **options)
    page.queue(default_concurrency_limit=8, max_size=64)
    return page
