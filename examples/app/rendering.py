"""Render what the page shows as HTML. Texts of scans, models and servers are untrusted: `escape` is applied to all."""

import re
from html import escape

from langchain_core.documents import Document

from examples.app.connections import Connection
from examples.app.recordings import load_recordings
from examples.app.scans import MAX_BYTES, MAX_PAGES, QUESTIONS, Scan, Turn
from langchain_qwenvl import citation

QUOTE, PAGE_QUOTE = 150, 24
"""Characters of an element that are quoted: as a source, and as the beginning of its page."""
_CITED = re.compile(r"\[(\d{1,2})\]")


def render_mode(connection: Connection) -> str:
    """Render the title, and who answers."""
    if not connection.is_recorded:
        badge, text = "Live", f"{escape(connection.model)} at {escape(connection.provider)} answers"
        text += f" ({escape(connection.base_url)})." if connection.base_url else "."
    else:
        is_live = load_recordings()["provenance"] == "live"
        source = "a live model" if is_live else "the project’s emulator, with replies written for it"
        badge, text = (
            "Recorded",
            (
                "There is no key, so <b>no model is called</b>: recordings answer for the two bundled scans and the "
                f"questions below the box. They come from {source}."
            ),
        )
    return f'<h1>Ask a scan</h1><p><span class="badge {badge.lower()}">{badge}</span> {text}</p>'


def render_notice(text: str) -> str:
    """Render an error."""
    return f'<p role="alert">{escape(text)}</p>' if text else ""


def render_welcome() -> str:
    """Say what to do first."""
    return (
        "<p>Read one of the two bundled scans, or upload a PDF or a picture of your own "
        f"(at most {MAX_PAGES} pages and {MAX_BYTES // 2**20} MB). Then ask, and click a number in the answer to see "
        "its place on the page.</p>"
    )


def render_progress(scan: Scan, is_reading: bool) -> str:
    """Render how many pages are read, and a button for each page with elements."""
    counts = f"{scan.pages_read} of {scan.pages} pages read, {scan.tokens:,} tokens"
    value = f'value="{scan.pages_read}"' if scan.pages_read else ""  # without one, the bar moves
    bar = f'<progress max="{scan.pages}" {value}></progress>' if is_reading else ""
    first = {element.metadata["page_number"]: element for element in reversed(scan.elements)}
    buttons = "".join(
        _render_button(f'data-page="{number}"', f"{number}", first[number], PAGE_QUOTE) for number in sorted(first)
    )
    return f"<p><b>{escape(scan.name)}</b> <span>{counts}</span></p>{bar}<div>{buttons}</div>"


def render_questions(scan: Scan | None) -> str:
    """Render a button for each question that has a recording, where the scan is a bundled one."""
    questions = QUESTIONS.get(scan.name, ()) if scan else ()
    return "".join(
        f'<button data-question="{number}">{escape(question)}</button>' for number, question in enumerate(questions, 1)
    )


def render_thinking(turn: Turn) -> str:
    """Render what the model thought."""
    return f"<h2>Thinking</h2><p>{escape(turn.thinking.strip())}</p>" if turn.thinking else ""


def render_answer(turn: Turn) -> str:
    """Render the answer; the numbers of sources in it are buttons."""

    def build_button(match: re.Match[str]) -> str:
        number = int(match[1])
        button = f'<button data-source="{number}" title="Show it on the page">{number}</button>'
        return button if 1 <= number <= len(turn.sources) else match[0]

    return f"<h2>Answer</h2><p>{_CITED.sub(build_button, escape(turn.answer.strip()))}</p>" if turn.answer else ""


def render_sources(turn: Turn) -> str:
    """Render a button for each source that the answer cites; for all of them, where it cites none."""
    if not turn.usage:
        return ""
    cited = {int(number) for number in _CITED.findall(turn.answer)}.intersection(range(1, len(turn.sources) + 1))
    title = "Cited" if cited else "The answer cites nothing. It had these sources"
    buttons = "".join(
        _render_button(f'data-source="{number}"', f"[{number}] page {citation(source).page_label}", source, QUOTE)
        for number, source in enumerate(turn.sources, 1)
        if number in cited or not cited
    )
    return f"<h2>{title}</h2>{buttons}"


def render_usage(turn: Turn, connection: Connection) -> str:
    """Render the tokens of a turn; no price, because it differs by model, region and account."""
    if not turn.usage:
        return ""
    thinking = turn.usage.get("output_token_details", {}).get("reasoning", 0)
    note = "as recorded, nothing is billed" if connection.is_recorded else "the price is the provider’s"
    return (
        f"<p>{turn.usage['total_tokens']:,} tokens: {turn.usage['input_tokens']:,} read, "
        f"{turn.usage['output_tokens']:,} written, {thinking:,} of them thinking ({note})</p>"
    )


def _render_button(attribute: str, title: str, element: Document, length: int) -> str:
    text = " ".join(element.page_content.split())
    quote = text if len(text) <= length else f"{text[: length - 1]}…"
    return f"<button {attribute}><b>{escape(title)}</b> {escape(quote)}</button>"
