"""Render the documentation page of the wire's quirks from the emulator's list."""

from __future__ import annotations

from tests.emulator.quirk_list import QUIRKS, Quirk
from tests.support.rendered_pages.markdown import build_notice, build_table, join_sections, quote

_INTRODUCTION = f"""# Wire quirks

{build_notice("tests/emulator/quirk_list.py")}

What Model Studio and the servers that imitate it send differently from what an OpenAI client expects, and what an
adapter has to do about it. This package reads all of it without a switch. The tests run against an emulator of the
service, written from the vendor's documents and from recorded traffic: the last column names what turns a quirk on or
off there (`tests/emulator/quirks.py`).

“—” as the number marks what only other servers send: vLLM, SGLang, Ollama, transformers, llama.cpp.
"""


def render() -> str:
    """Render the page as Markdown."""
    groups = dict.fromkeys(quirk.group for quirk in QUIRKS)
    return join_sections(_INTRODUCTION, *(_render_group(group) for group in groups))


def _render_group(group: str) -> str:
    rows = [_list_quirk(quirk) for quirk in QUIRKS if quirk.group == group]
    return f"## {group}\n\n" + build_table(("no.", "what is sent", "what an adapter does", "in the emulator"), rows)


def _list_quirk(quirk: Quirk) -> tuple[str, ...]:
    number = f"Q{quirk.number}" if quirk.number else "—"
    return number, quirk.sent, quirk.handling, quirk.scripted or quote(quirk.switches)
