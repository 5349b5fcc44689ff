"""From a request and a scripted answer to the response on the connection."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, replace

from tests.emulator import compat, native
from tests.emulator.chat_request import ChatRequest
from tests.emulator.error_payloads import ApiError, problem_of
from tests.emulator.quirks import Quirks
from tests.emulator.replies import Fault, Reply, ToolCall, usage_of
from tests.emulator.socket_writer import Connection, Stream
from tests.emulator.sse_framing import BOM, broken, dump

_CREATED = 1_767_225_600
_SSE = "text/event-stream;charset=UTF-8"
_JSON = "application/json"
_PAGE = "<html>\r\n<head><title>{0}</title></head>\r\n<body><center><h1>{0}</h1></center></body>\r\n</html>\r\n"
_CHARACTER = re.compile(rb"[\xc0-\xf7][\x80-\xbf]+")


@dataclass(frozen=True)
class ResponseRenderer:
    """One request that is being answered."""

    ask: ChatRequest
    connection: Connection
    number: int
    """Counts the requests; the ids come from it."""
    quirks: Quirks
    request_id: str

    def reply(self, reply: Reply) -> None:
        """Send an answer, whole or as a stream."""
        me = self._for(reply)
        if me.ask.stream:
            me.connection.send_stream(me._stream(reply))
        else:
            me.connection.send_whole(200, me._headers(_JSON, finished=True) | dict(reply.headers), me._whole(reply))

    def fail(self, fault: Fault) -> None:
        """Send an error, or start an answer and break off."""
        me = replace(self, quirks=fault.quirks or self.quirks)
        if fault.reset == "before-headers":
            me.connection.reset()
            return
        if fault.stall and fault.reply is None:
            me.connection.wait(fault.stall)
        if fault.redirect is not None:
            location = {"Location": fault.redirect} | dict(fault.headers)
            me.connection.send_whole(307, me._headers("text/plain", finished=True) | location, b"")
        elif fault.non_json_200:
            headers = me._headers("text/html", finished=True) | dict(fault.headers)
            me.connection.send_whole(200, headers, _PAGE.format("Welcome").encode())
        elif fault.only_breaks_off:
            me._break_off(fault)
        elif fault.error_format == "in-stream" and me.ask.stream:
            me._fail_in_stream(fault, problem_of(fault))
        else:
            me.refuse(problem_of(fault), error_format=fault.error_format, headers=fault.headers)

    def refuse(
        self, problem: ApiError, *, error_format: str | None = None, headers: Mapping[str, str] | None = None
    ) -> None:
        """Send an error instead of an answer."""
        native_event = self.ask.api == "native" and self.ask.stream and problem.status == 400
        if error_format is None and native_event:
            self._fail_in_stream(Fault(headers=headers or {}), problem)
            return
        content_type, body = self._error(problem, error_format)
        sent = self._headers(content_type, finished=True) | dict(headers or {})
        self.connection.send_whole(problem.status, sent, body)

    def _error(self, problem: ApiError, error_format: str | None) -> tuple[str, bytes]:
        title = f"{problem.status} {problem.text}"
        if error_format == "html":
            return "text/html", _PAGE.format(title).encode()
        if error_format == "text":
            return "text/plain", problem.text.encode()
        if error_format == "empty":
            return "text/plain", b""
        api = compat if self.ask.api == "compat" else native
        if error_format == "data-body":
            return _SSE, api.error_event(problem, self.quirks, self.request_id)
        body = dump(api.error_body(problem, self.quirks, self.request_id))
        return _JSON, (broken(body) if self.quirks.broken_error else body).encode()

    def _fail_in_stream(self, fault: Fault, problem: ApiError) -> None:
        """An error event in a stream that has started with HTTP 200."""
        reply = fault.reply or default_reply(self.ask)
        me = replace(self._for(reply), quirks=fault.quirks or reply.quirks or self.quirks)
        open_ended = replace(me, quirks=replace(me.quirks, no_done=True))
        events = open_ended._events(reply)[: fault.after]
        if me.ask.api == "native":
            number = len(events) + 1
            events.append(native.error_event(problem, me.quirks, me.request_id, number=number))
        else:
            events.append(compat.error_event(problem, me.quirks, me.request_id))
            if me.quirks.done_after_error:
                events.append(compat.done(me.quirks))
        stream = me._stream(reply, events)
        me.connection.send_stream(replace(stream, headers=dict(stream.headers) | dict(fault.headers)))

    def _break_off(self, fault: Fault) -> None:
        reply = fault.reply or default_reply(self.ask)
        me = replace(self._for(reply), quirks=fault.quirks or reply.quirks or self.quirks)
        if not me.ask.stream:
            me._break_off_whole(fault, reply)
            return
        events = me._events(reply)
        kept = events if fault.stall and not fault.close_without_finish else events[: fault.after]
        if fault.truncate_json:
            kept = [*events[: fault.after], _broken_event(events[fault.after : fault.after + 1])]
        if fault.reset == "mid-character":
            kept = [*events[: fault.after], _to_mid_character(events[fault.after :])]
        me.connection.send_stream(
            replace(
                me._stream(reply, kept),
                headers=me._headers(_SSE, finished=False) | dict(reply.headers) | dict(fault.headers),
                stall_before=fault.after if fault.reply else None,
                stall=fault.stall,
                reset=fault.reset is not None,
                unfinished=fault.truncate_body,
            )
        )

    def _break_off_whole(self, fault: Fault, reply: Reply) -> None:
        body = self._whole(reply)
        if fault.stall and fault.reply:
            self.connection.wait(fault.stall)
        headers = self._headers(_JSON, finished=True) | dict(reply.headers) | dict(fault.headers)
        if fault.truncate_json:
            body = body[: len(body) // 2]
        cut = fault.truncate_body or fault.reset is not None
        self.connection.send_whole(200, headers, body, cut=cut)
        if fault.reset:
            self.connection.reset()

    def _for(self, reply: Reply) -> ResponseRenderer:
        return replace(self, quirks=reply.quirks or self.quirks, request_id=reply.request_id or self.request_id)

    def _usage(self, reply: Reply) -> dict[str, int]:
        kinds = [media.kind for media in self.ask.media()]
        characters = sum(len(text) for text in self.ask.texts())
        images = kinds.count("image")
        return usage_of(reply, characters, images, len(kinds) - images)

    def _whole(self, reply: Reply) -> bytes:
        usage = self._usage(reply)
        if self.ask.api == "native":
            return native.whole(reply, self.ask, self.quirks, self.request_id, usage)
        return compat.whole(reply, self.ask, self.quirks, self.request_id, self._created(reply), usage)

    def _events(self, reply: Reply) -> list[bytes]:
        usage = self._usage(reply)
        if self.ask.api == "native":
            return native.stream(reply, self.ask, self.quirks, self.request_id, usage)
        return compat.stream(reply, self.ask, self.quirks, self.request_id, self._created(reply), usage)

    def _created(self, reply: Reply) -> int:
        return _CREATED + self.number if reply.created is None else reply.created

    def _stream(self, reply: Reply, events: list[bytes] | None = None) -> Stream:
        events = self._events(reply) if events is None else events
        if self.quirks.bom and events:
            events = [BOM + events[0], *events[1:]]
        accepted = self.ask.request.headers.get("accept-encoding", "")
        return Stream(
            headers=self._headers(_SSE, finished=False) | dict(reply.headers),
            events=events,
            delay=reply.delay,
            gates=tuple(reply.gates),
            split_bytes=self.quirks.split_bytes,
            gzip=self.quirks.gzip and "gzip" in accepted,
        )

    def _headers(self, content_type: str, *, finished: bool) -> dict[str, str]:
        """The headers of the recordings; nothing in them depends on the clock."""
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


def default_reply(ask: ChatRequest) -> Reply:
    """What the model says when the test has not scripted anything."""
    forced = _forced_tool(ask)
    if forced:
        return Reply(tool_calls=[ToolCall("call_emulator_0", forced, "{}")])
    wants_json = isinstance(ask.given("response_format"), dict) and ask.given("response_format").get("type") != "text"
    reasoning = "The user wants an answer. 好的。" if ask.thinking else ""
    return Reply(reasoning=reasoning, text="{}" if wants_json else "This is the emulator's answer: 你好 😀.")


def _forced_tool(ask: ChatRequest) -> str | None:
    choice, tools = ask.given("tool_choice"), ask.given("tools")
    match choice, tools:
        case {"function": {"name": str(name)}}, _:
            return name
        case "required", [{"function": {"name": str(name)}}, *_]:
            return name
    return None


def _broken_event(following: list[bytes]) -> bytes:
    """An event whose JSON ends in the middle."""
    return following[0].rstrip()[: len(following[0]) // 2] + b"\n\n" if following else b""


def _to_mid_character(events: list[bytes]) -> bytes:
    """The following events up to the first byte of a character that takes several."""
    joined = b"".join(events)
    found = _CHARACTER.search(joined)
    if found is None:
        raise ValueError("reset in mid-character needs an answer with a character beyond ASCII")
    return joined[: found.start() + 1]
