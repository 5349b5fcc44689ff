"""Handlers that record what LlamaIndex reports about calls."""

from __future__ import annotations

from collections import Counter
from typing import Any

from llama_index.core.callbacks import CBEventType
from llama_index.core.callbacks.base_handler import BaseCallbackHandler
from llama_index.core.instrumentation.event_handlers import BaseEventHandler
from pydantic import PrivateAttr


class RecordingEventHandler(BaseEventHandler):
    """Record the events of LlamaIndex's instrumentation."""

    _recorded: list[Any] = PrivateAttr(default_factory=list)

    @classmethod
    def class_name(cls) -> str:
        return "RecordingEventHandler"

    def handle(self, event: Any, **kwargs: Any) -> None:
        self._recorded.append(event)

    @property
    def recorded(self) -> list[Any]:
        """The events in the order in which they were reported."""
        return self._recorded

    def count_by_class(self) -> Counter[str]:
        """Count the events of each class."""
        return Counter(event.class_name() for event in self._recorded)


class RecordingCallbackHandler(BaseCallbackHandler):
    """Record the calls of LlamaIndex's older callback interface."""

    def __init__(self) -> None:
        super().__init__([], [])
        self.recorded: list[tuple[str, CBEventType]] = []
        self.payloads: list[Any] = []

    def on_event_start(
        self,
        event_type: CBEventType,
        payload: dict[str, Any] | None = None,
        event_id: str = "",
        parent_id: str = "",
        **kwargs: Any,
    ) -> str:
        self.recorded.append(("start", event_type))
        self.payloads.append(payload)
        return ""

    def on_event_end(
        self, event_type: CBEventType, payload: dict[str, Any] | None = None, event_id: str = "", **kwargs: Any
    ) -> None:
        self.recorded.append(("end", event_type))
        self.payloads.append(payload)

    def start_trace(self, trace_id: str | None = None) -> None:
        """Do nothing; the base class requires the method."""

    def end_trace(self, trace_id: str | None = None, trace_map: Any = None) -> None:
        """Do nothing; the base class requires the method."""
