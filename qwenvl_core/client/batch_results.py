"""Read the results of batches: one outcome for each request, in the order of the requests."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from typing import Generic, TypeVar

from qwenvl_core.catalog.provider_models import describe_at
from qwenvl_core.client.exchange import Exchange
from qwenvl_core.errors import QwenVLError
from qwenvl_core.request.batch_demand import build_request, build_unchecked_request
from qwenvl_core.transport.batch_calls import build_missing_error
from qwenvl_core.transport.batch_results import ResultSink
from qwenvl_core.types.batch import Batch, BatchResult
from qwenvl_core.types.reply import Reply, ReplyAccumulator
from qwenvl_core.types.request import PreparedRequest
from qwenvl_core.wire import batches
from qwenvl_core.wire.openai import Decoder
from qwenvl_core.wire.response_reader import ResponseReader

T = TypeVar("T")
Outcome = Reply | QwenVLError
Convert = Callable[[Outcome, PreparedRequest], T]
"""Converts an outcome to what a framework's callers receive."""


def decode_outcome(result: BatchResult, prepared: PreparedRequest) -> Outcome:
    """Decode one result: the reply, or the error that a chat would have raised.

    Args:
        result: The result.
        prepared: The request, reduced to what checks its reply.
    """
    if result.error is not None:
        return result.error
    reader = ResponseReader(Decoder(), prepared)
    exchange = Exchange(prepared, describe_at(prepared.settings.model, prepared.settings.provider))
    accumulator = ReplyAccumulator()
    try:
        reader.start({"x-request-id": result.request_id, "content-type": "application/json"})
        body = json.dumps(result.body, ensure_ascii=False).encode("utf-8", "surrogatepass")
        for shaped in (exchange.shape(reader.decode(body)), exchange.shape(reader.flush()), exchange.finish(reader)):
            for event in shaped:
                accumulator.add(event)
    except QwenVLError as error:
        return reader.add_context(error)
    return accumulator.build_reply()


@dataclass(slots=True)
class ResultCollector(Generic[T]):
    """Collect the outcomes of one batch.

    Attributes:
        batch: The batch.
        convert: Converts each outcome.
        requests: The requests by custom id, in their order; `None` while they are not known.
    """

    batch: Batch
    convert: Convert[T]
    requests: dict[str, PreparedRequest] | None
    _outcomes: dict[str, T] = field(default_factory=dict)
    _reader: batches.ResultReader = field(default_factory=batches.ResultReader)

    def add_request(self, line: bytes) -> None:
        """Add a request from a line of the input file, in the order of the lines."""
        if self.requests is None:
            self.requests = {}
        fields = batches.decode_request(line)
        self.requests[fields.custom_id] = build_request(fields)

    def add_result(self, line: bytes) -> None:
        """Add a result from a line of the answers or the failures."""
        result = self._reader.read(line)
        if result is None:
            return
        if self.requests is None:
            prepared = build_unchecked_request(str((result.body or {}).get("model", "")))
        elif result.custom_id in self.requests:
            prepared = self.requests[result.custom_id]
        else:
            return
        self._outcomes[result.custom_id] = self.convert(decode_outcome(result, prepared), prepared)

    @property
    def sink(self) -> ResultSink:
        """What receives the lines of the results."""
        return ResultSink(self._reader, self.add_result, self._has_all)

    def finish(self, problem: QwenVLError | None = None) -> list[T]:
        """Return the outcomes in the order of the requests; a request without a result has an error.

        Args:
            problem: Why results can't be read; by default they are missing.
        """
        requests = self.requests
        if requests is None:
            missing = build_unchecked_request("")
            requests = dict.fromkeys(_order_ids(self._outcomes), missing)
        return [
            self._outcomes[custom_id]
            if custom_id in self._outcomes
            else self.convert(problem or self._build_missing_error(custom_id), prepared)
            for custom_id, prepared in requests.items()
        ]

    def _has_all(self) -> bool:
        if self.requests is None:
            return len(self._outcomes) >= self.batch.status.total > 0
        return self.requests.keys() <= self._outcomes.keys()

    def _build_missing_error(self, custom_id: str) -> QwenVLError:
        return build_missing_error(self.batch, custom_id, unreadable=self._reader.unreadable)


def number_requests(requests: Sequence[Sequence[PreparedRequest]]) -> list[dict[str, PreparedRequest]]:
    """Return the requests of each batch by their custom ids, which count the requests of all batches."""
    numbered, start = [], 0
    for group in requests:
        numbered.append({str(index): prepared for index, prepared in enumerate(group, start)})
        start += len(group)
    return numbered


def _order_ids(custom_ids: Iterable[str]) -> list[str]:
    """Return custom ids in their order: numbers by value, before others."""
    return sorted(custom_ids, key=lambda text: (0, int(text), "") if text.isdecimal() else (1, 0, text))
