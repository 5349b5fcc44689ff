r"""Tool-call fragments of both APIs, told apart and put in order.

```
[{"index": 0, "id": "call_1", "type": "function", "function": {"name": "crop", "arguments": "{\"x\": "}}]
[{"index": 0, "id": "",       "type": "function", "function": {"arguments": "1}"}},
 {"index": 1, "id": "call_2", "type": "function", "function": {"name": "zoom", "arguments": ""}}]
```

`""` as an id or name means absent. Fragments of arguments are passed on as they are, never repaired or stripped.
"""

from __future__ import annotations

import json
import uuid
from collections.abc import Iterator
from typing import Any

from qwenvl_core.types.events import ToolCallDelta
from qwenvl_core.wire.fields import string


class ToolCallAssembler:
    """Numbers the calls of one reply in the order they begin, and says each one's id and name once."""

    def __init__(self) -> None:
        self._ids: list[str] = []  # by call_index, as the server gave them
        self._named: list[bool] = []
        self._call_indices: dict[Any, int] = {}  # the server's index -> call_index

    def add_fragments(self, fragments: Any, reply_id: str = "") -> Iterator[ToolCallDelta]:
        """The deltas that a chunk's fragments make up."""
        for fragment in fragments:
            function = fragment.get("function") or {}
            call_id, name = string(fragment.get("id")), string(function.get("name"))
            arguments = function.get("arguments")
            if arguments is None:
                arguments = ""
            elif not isinstance(arguments, str):  # some servers send the object itself
                arguments = json.dumps(arguments, ensure_ascii=False)
            call_index = self._call_index(fragment.get("index"), call_id, name)
            begins = call_index == len(self._ids)
            if begins:
                # Frameworks match a result to its call by id: a server that gives none, or one twice, gets ours.
                own = call_id if call_id not in self._ids else ""
                self._ids.append(call_id)
                self._named.append(False)
                call_id = own or f"call_{reply_id or uuid.uuid4().hex}_{call_index}"
            says_name = bool(name) and not self._named[call_index]
            self._named[call_index] = self._named[call_index] or says_name
            yield ToolCallDelta(call_index, call_id if begins else None, name if says_name else None, arguments)

    def _call_index(self, index: Any, call_id: str, name: str) -> int:
        """Which call a fragment belongs to; the next free number begins one."""
        if index is None:
            if call_id and call_id in self._ids:
                return self._ids.index(call_id)
            return len(self._ids) if call_id or name or not self._ids else len(self._ids) - 1
        call_index = self._call_indices.get(index)
        # Servers that number every whole call 0 tell them apart by the id; others give each fragment a new one.
        if call_index is None or (call_id and name and self._ids[call_index] and call_id != self._ids[call_index]):
            call_index = self._call_indices[index] = len(self._ids)
        return call_index
