"""Make the replies to OCR tasks, in the shapes of the vendor's OCR page and of recordings."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from tests.emulator.chat_request import ChatRequest
from tests.emulator.replies import Reply

WORDS: tuple[Mapping[str, Any], ...] = (
    {"location": [20, 10, 120, 10, 120, 40, 20, 40], "rotate_rect": [70, 25, 30, 100, 90], "text": "Invoice 7"},
    {"location": [18, 52, 80, 40, 84, 60, 22, 72], "rotate_rect": [51, 56, 21, 63, 79], "text": "Total: 9.50"},
)
"""Lines of an image of any size: coordinates in pixels, the second line is tilted."""

_TEXTS = {
    "text_recognition": "Invoice 7\nTotal: 9.50",
    "multi_lan": "Invoice 7\n发票 7",
    "document_parsing": (
        "```latex\n\\documentclass{article}\n\n\\title{Invoice 7}\n\\begin{document}\n\\maketitle\n"
        "\\section{Items}\nOne \\textbf{pen}.\n\\end{document}\n```"
    ),
    "table_parsing": "```html\n<table>\n  <tr>\n    <td>Pen</td>\n    <td>9.50</td>\n  </tr>\n</table>\n```",
    "formula_recognition": "$$E = m c ^ { 2 }$$",
}


def make_ocr_reply(request: ChatRequest) -> Reply | None:
    """Make the reply to a request with an OCR task; None for another request."""
    options = request.parameter("ocr_options")
    task = options.get("task") if request.api == "native" and isinstance(options, dict) else None
    if task == "advanced_recognition":
        lines = [{"rotate_rect": word["rotate_rect"], "text": word["text"]} for word in WORDS]
        return Reply(text=_fence(lines), content_extra={"ocr_result": {"words_info": [dict(word) for word in WORDS]}})
    if task == "key_information_extraction":
        config = options.get("task_config") or {}
        fields = _fill(config.get("result_schema") or {"invoice": "", "total": ""})
        return Reply(text=_fence(fields), content_extra={"ocr_result": {"kv_result": fields}})
    return Reply(text=_TEXTS[task]) if task in _TEXTS else None


def _fill(schema: Any) -> Any:
    """Replace the descriptions in a schema by values."""
    if isinstance(schema, dict):
        return {name: _fill(value) for name, value in schema.items()}
    return [_fill(value) for value in schema] if isinstance(schema, list) else "7"


def _fence(value: Any) -> str:
    return f"```json\n{json.dumps(value, ensure_ascii=False, indent=1)}\n```"
