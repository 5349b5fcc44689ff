r"""Assemble the tool-call fragments of both APIs into ordered deltas.

```
[{"index": 0, "id": "call_1", "type": "function", "function": {"name": "crop", "arguments": "{\"x\": "}}]
[{"index": 0, "id": "",       "type": "function", "function": {"arguments": "1}"}},
 {"index": 1, "id": "call_2", "type": "function", "function": {"name": "zoom", "arguments": ""}}]
```

An id or name of `""` counts as absent. Fragments of arguments are passed on unchanged, never repaired or stripped, with
one exception: white space and the word null mean no arguments, so text that may still become either is held back, and
dropped if the call ends with it. Frameworks parse the fragments themselves, and reject both.
"""

from __future__ import annotations

import json
import uuid
from collections.abc import Iterator
from typing import Any

from qwenvl_core.types.events import ToolCallDelta
from qwenvl_core.wire.fields import read_string

_BLANK = ("", "null")
"""Arguments, without white space around them, that mean no arguments."""
_MAX_HELD = 4_096  # characters; each fragment is joined to the ones before, so the time would be quadratic


class ToolCallAssembler:
    """Number the calls of one reply in the order in which they begin; yield the id and the name of each only once.

    Args:
        separates_names: Whether a fragment that holds a name and arguments becomes two deltas.
    """

    def __init__(self, *, separates_names: bool = False) -> None:
        self._separates_names = separates_names
        self._ids: list[str] = []  # by call_index, as the server sent them
        self._has_name: list[bool] = []
        self._call_indices: dict[Any, int] = {}  # the server's index -> call_index
        self._held: dict[int, str] = {}  # arguments by call_index that may still mean no arguments

    def add_fragments(self, fragments: Any, reply_id: str = "") -> Iterator[ToolCallDelta]:
        """Yield a delta for each tool-call fragment of a chunk."""
        for fragment in fragments:
            function = fragment.get("function") or {}
            call_id, name = read_string(fragment.get("id")), read_string(function.get("name"))
            arguments = function.get("arguments")
            if arguments is None:
                arguments = ""
            elif not isinstance(arguments, str):  # some servers send an object instead of JSON text
                arguments = json.dumps(arguments, ensure_ascii=False)
            call_index = self._find_call_index(fragment.get("index"), call_id, name)
            is_new = call_index == len(self._ids)
            if is_new:
                # Frameworks match a result to its call by id, so a missing or repeated id is replaced.
                unique_id = call_id if call_id not in self._ids else ""
                self._ids.append(call_id)
                self._has_name.append(False)
                call_id = unique_id or f"call_{reply_id or uuid.uuid4().hex}_{call_index}"
                self._held[call_index] = ""
            is_first_name = bool(name) and not self._has_name[call_index]
            self._has_name[call_index] = self._has_name[call_index] or is_first_name
            if call_index in self._held:
                arguments = self._hold_blank(call_index, arguments)
            if is_first_name and arguments and self._separates_names:
                # Bridges to user interfaces (AG-UI) start a call at its name and drop arguments in the same chunk.
                yield ToolCallDelta(call_index, call_id if is_new else None, name, "")
                yield ToolCallDelta(call_index, None, None, arguments)
            else:
                yield ToolCallDelta(call_index, call_id if is_new else None, name if is_first_name else None, arguments)

    def flush(self) -> list[ToolCallDelta]:
        """Return the arguments that were held back and are neither blank nor the word null, at the end of a reply."""
        held, self._held = self._held, {}
        return [ToolCallDelta(index, None, None, text) for index, text in held.items() if text.strip() not in _BLANK]

    def _hold_blank(self, call_index: int, arguments: str) -> str:
        """Return the arguments to pass on: none while all of them so far may still mean no arguments."""
        text = self._held[call_index] + arguments
        if "null".startswith(text.strip()) and len(text) <= _MAX_HELD:
            self._held[call_index] = text
            return ""
        del self._held[call_index]
        return text

    def _find_call_index(self, index: Any, call_id: str, name: str) -> int:
        """Return the index of the call that a fragment belongs to; the next free index for a new call."""
        if index is None:
            if call_id and call_id in self._ids:
                return self._ids.index(call_id)
            return len(self._ids) if call_id or name or not self._ids else len(self._ids) - 1
        call_index = self._call_indices.get(index)
        # Some servers send whole calls that all have index 0 and differ by id; others send a new id with each fragment,
        # but send the name only once.
        if call_index is None or (call_id and name and self._ids[call_index] and call_id != self._ids[call_index]):
            call_index = self._call_indices[index] = len(self._ids)
        return call_index
