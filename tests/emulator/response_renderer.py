"""Render a scripted reply or fault as the response to one request, and write it to the connection."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

from tests.emulator import compat, native
from tests.emulator.chat_request import ChatRequest
from tests.emulator.error_payloads import ApiError, error_from_fault
from tests.emulator.ocr_replies import make_ocr_reply
from tests.emulator.quirks import Quirks
from tests.emulator.replies import Fault, Reply, ToolCall, compute_usage
from tests.emulator.socket_writer import Connection, Stream
from tests.emulator.sse_framing import BOM, to_json, truncate

_CREATED = 1_767_225_600
_SSE = "text/event-stream;charset=UTF-8"
_JSON = "application/json"
_HTML_PAGE = "<html>\r\n<head><title>{0}</title></head>\r\n<body><center><h1>{0}</h1></center></body>\r\n</html>\r\n"
_MULTIBYTE_CHARACTER = re.compile(rb"[\xc0-\xf7][\x80-\xbf]+")


@dataclass(frozen=True)
class ResponseRenderer:
    """Responses to one request."""

    request: ChatRequest
    connection: Connection
    number: int
    """Position of the request since the last reset, from 1; ids and timestamps derive from it."""
    quirks: Quirks
    request_id: str

    def send_reply(self, reply: Reply) -> None:
        """Send a reply, whole or as a stream."""
        renderer = self._with_overrides(reply)
        if self.request.stream:
            self.connection.send_stream(renderer._build_stream(reply))
        else:
            headers = renderer._build_headers(_JSON, finished=True) | dict(reply.headers)
            self.connection.send_whole(200, headers, renderer._render_whole(reply))

    def send_fault(self, fault: Fault) -> None:
        """Send an error, or start a reply and interrupt it."""
        renderer = replace(self, quirks=fault.quirks or self.quirks)
        if fault.reset == "before-headers":
            self.connection.reset()
            return
        if fault.stall and fault.reply is None:
            self.connection.wait(fault.stall)
        if fault.redirect is not None:
            location = {"Location": fault.redirect} | dict(fault.headers)
            self.connection.send_whole(307, renderer._build_headers("text/plain", finished=True) | location, b"")
        elif fault.non_json_200:
            headers = renderer._build_headers("text/html", finished=True) | dict(fault.headers)
            self.connection.send_whole(200, headers, _HTML_PAGE.format("Welcome").encode())
        elif fault.is_interruption:
            renderer._interrupt(fault)
        elif fault.error_format == "in-stream" and self.request.stream:
            renderer._send_error_in_stream(fault, error_from_fault(fault))
        else:
            renderer.send_error(error_from_fault(fault), error_format=fault.error_format, headers=fault.headers)

    def send_error(
        self, error: ApiError, *, error_format: str | None = None, headers: Mapping[str, str] | None = None
    ) -> None:
        """Send an error in place of a reply."""
        is_event = self.request.api == "native" and self.request.stream and error.status == 400
        if error_format is None and is_event:
            self._send_error_in_stream(Fault(headers=headers or {}), error)
            return
        content_type, body = self._render_error(error, error_format)
        all_headers = self._build_headers(content_type, finished=True) | dict(headers or {})
        self.connection.send_whole(error.status, all_headers, body)

    def render_outcome(self, outcome: Reply | Fault | ApiError) -> tuple[int, Any]:
        """Return the status and the parsed body of a response that is not sent, as in the results of a batch."""
        if isinstance(outcome, Reply):
            return 200, json.loads(self._with_overrides(outcome)._render_whole(outcome))
        error = error_from_fault(outcome) if isinstance(outcome, Fault) else outcome
        return error.status, json.loads(self._render_error(error, None)[1])

    def _render_error(self, error: ApiError, error_format: str | None) -> tuple[str, bytes]:
        """Return the content type and the body of an error."""
        title = f"{error.status} {error.text}"
        if error_format == "html":
            return "text/html", _HTML_PAGE.format(title).encode()
        if error_format == "text":
            return "text/plain", error.text.encode()
        if error_format == "empty":
            return "text/plain", b""
        api = compat if self.request.api == "compat" else native
        if error_format == "data-body":
            return _SSE, api.render_error_event(error, self.quirks, self.request_id)
        body = to_json(api.build_error(error, self.quirks, self.request_id))
        return _JSON, (truncate(body) if self.quirks.broken_error else body).encode()

    def _send_error_in_stream(self, fault: Fault, error: ApiError) -> None:
        """Send an error event in a stream that started with HTTP 200."""
        reply = fault.reply or make_default_reply(self.request)
        renderer = replace(self._with_overrides(reply), quirks=fault.quirks or reply.quirks or self.quirks)
        without_done = replace(renderer, quirks=replace(renderer.quirks, no_done=True))
        events = without_done._render_events(reply)[: fault.after]
        if self.request.api == "native":
            number = len(events) + 1
            events.append(native.render_error_event(error, renderer.quirks, renderer.request_id, number=number))
        else:
            events.append(compat.render_error_event(error, renderer.quirks, renderer.request_id))
            if renderer.quirks.done_after_error:
                events.append(compat.render_done(renderer.quirks))
        stream = renderer._build_stream(reply, events)
        self.connection.send_stream(replace(stream, headers=dict(stream.headers) | dict(fault.headers)))

    def _interrupt(self, fault: Fault) -> None:
        """Start a reply and interrupt it as the fault demands."""
        reply = fault.reply or make_default_reply(self.request)
        renderer = replace(self._with_overrides(reply), quirks=fault.quirks or reply.quirks or self.quirks)
        if not self.request.stream:
            renderer._interrupt_whole(fault, reply)
            return
        events = renderer._render_events(reply)
        kept = events if fault.stall and not fault.close_without_finish else events[: fault.after]
        if fault.truncate_json:
            kept = [*events[: fault.after], _truncate_event(events[fault.after : fault.after + 1])]
        if fault.reset == "mid-character":
            kept = [*events[: fault.after], _cut_mid_character(events[fault.after :])]
        self.connection.send_stream(
            replace(
                renderer._build_stream(reply, kept),
                headers=renderer._build_headers(_SSE, finished=False) | dict(reply.headers) | dict(fault.headers),
                stall_before=fault.after if fault.reply else None,
                stall=fault.stall,
                reset=fault.reset is not None,
                unfinished=fault.truncate_body,
            )
        )

    def _interrupt_whole(self, fault: Fault, reply: Reply) -> None:
        body = self._render_whole(reply)
        if fault.stall and fault.reply:
            self.connection.wait(fault.stall)
        headers = self._build_headers(_JSON, finished=True) | dict(reply.headers) | dict(fault.headers)
        if fault.truncate_json:
            body = body[: len(body) // 2]
        cut = fault.truncate_body or fault.reset is not None
        self.connection.send_whole(200, headers, body, cut=cut)
        if fault.reset:
            self.connection.reset()

    def _with_overrides(self, reply: Reply) -> ResponseRenderer:
        """Return this renderer with the quirks and the request id of the reply, where it has them."""
        return replace(self, quirks=reply.quirks or self.quirks, request_id=reply.request_id or self.request_id)

    def _compute_usage(self, reply: Reply) -> dict[str, int]:
        kinds = [media.kind for media in self.request.media()]
        characters = sum(len(text) for text in self.request.texts())
        images = kinds.count("image")
        return compute_usage(reply, characters, images, len(kinds) - images)

    def _render_whole(self, reply: Reply) -> bytes:
        usage = self._compute_usage(reply)
        if self.request.api == "native":
            return native.render_whole(reply, self.request, self.quirks, self.request_id, usage)
        created = self._created_at(reply)
        return compat.render_whole(reply, self.request, self.quirks, self.request_id, created, usage)

    def _render_events(self, reply: Reply) -> list[bytes]:
        usage = self._compute_usage(reply)
        if self.request.api == "native":
            return native.render_stream(reply, self.request, self.quirks, self.request_id, usage)
        created = self._created_at(reply)
        return compat.render_stream(reply, self.request, self.quirks, self.request_id, created, usage)

    def _created_at(self, reply: Reply) -> int:
        return _CREATED + self.number if reply.created is None else reply.created

    def _build_stream(self, reply: Reply, events: list[bytes] | None = None) -> Stream:
        events = self._render_events(reply) if events is None else events
        if self.quirks.bom and events:
            events = [BOM + events[0], *events[1:]]
        accepted = self.request.http_request.headers.get("accept-encoding", "")
        return Stream(
            headers=self._build_headers(_SSE, finished=False) | dict(reply.headers),
            events=events,
            delay=reply.delay,
            gates=tuple(reply.gates),
            split_bytes=self.quirks.split_bytes,
            gzip=self.quirks.gzip and "gzip" in accepted,
        )

    def _build_headers(self, content_type: str, *, finished: bool) -> dict[str, str]:
        """Build the headers of the recordings, with fixed values in place of times."""
        headers = {
            "vary": "Origin,Access-Control-Request-Method,Access-Control-Request-Headers",
            "x-request-id": self.request_id,
            "content-type": content_type,
            "x-dashscope-call-gateway": "true",
            "x-dashscope-timeout": "298",
            "x-dashscope-finished": "true" if finished else "false",
            "req-cost-time": "100",
            "server": "istio-envoy",
        }
        if self.quirks.no_request_id:
            del headers["x-request-id"]
        if self.quirks.partial_response and finished:
            headers["x-dashscope-partialresponse"] = "true"
        if self.quirks.set_cookie:
            headers["set-cookie"] = "acw_tc=emulator;path=/;HttpOnly;Max-Age=1800"
        return headers


def make_default_reply(request: ChatRequest) -> Reply:
    """Make the reply to a request for which the test has scripted none."""
    ocr_reply = make_ocr_reply(request)
    if ocr_reply:
        return ocr_reply
    forced = _find_forced_tool(request)
    if forced:
        return Reply(tool_calls=[ToolCall("call_emulator_0", forced, "{}")])
    response_format = request.parameter("response_format")
    is_json = isinstance(response_format, dict) and response_format.get("type") != "text"
    reasoning = "The user wants an answer. 好的。" if request.thinking else ""
    return Reply(reasoning=reasoning, text="{}" if is_json else "This is the emulator's answer: 你好 😀.")


def _find_forced_tool(request: ChatRequest) -> str | None:
    choice, tools = request.parameter("tool_choice"), request.parameter("tools")
    match choice, tools:
        case {"function": {"name": str(name)}}, _:
            return name
        case "required", [{"function": {"name": str(name)}}, *_]:
            return name
    return None


def _truncate_event(events: list[bytes]) -> bytes:
    """Return the first event with its JSON cut in the middle; nothing if there is no event."""
    return events[0].rstrip()[: len(events[0]) // 2] + b"\n\n" if events else b""


def _cut_mid_character(events: list[bytes]) -> bytes:
    """Return the events up to and including the first byte of the first multi-byte character."""
    joined = b"".join(events)
    found = _MULTIBYTE_CHARACTER.search(joined)
    if found is None:
        raise ValueError("Invalid reply for reset='mid-character': it is all ASCII. Script a non-ASCII character.")
    return joined[: found.start() + 1]
