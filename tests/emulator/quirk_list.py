"""List the quirks of the wire: what the servers send, and what an adapter has to do with it.

The numbers are those that the emulator and its tests cite as "Q6". `docs/wire-quirks.md` is rendered from this list.
Evidence: recorded traffic, the vendor's documents, and issues that quote replies.
"""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Quirk:
    """One deviation from what the OpenAI API sends, or from what another reply of the same service has.

    Attributes:
        number: Number in the list of the service's quirks; 0 for a quirk that only other servers have.
        group: Heading of the page under which it stands.
        sent: What a server sends.
        handling: What an adapter has to do, and this package does.
        switches: Names of the emulator's switches (`Quirks`) that turn it on or off.
        scripted: How a test produces it where there is no switch.
    """

    number: int
    group: str
    sent: str
    handling: str
    switches: tuple[str, ...] = ()
    scripted: str = ""


_TEXT, _CALLS, _END = "Reasoning and text", "Tool calls", "The end of a reply"
_USAGE, _FRAMING, _ERRORS, _OTHER = "Usage", "Framing", "Errors", "Other fields and headers"

QUIRKS: tuple[Quirk, ...] = (
    Quirk(
        1,
        _TEXT,
        'The first chunk of a reply that thinks has the role and `"reasoning_content": ""` (OpenAI-compatible API).',
        "Yield no event for an empty string.",
        ("first_reasoning_empty",),
    ),
    Quirk(
        2,
        _TEXT,
        'Without text, `content` is `null`, `""` or `[]`, or the key is missing; also in whole messages.',
        "Read all four as no text.",
        ("content_mode",),
    ),
    Quirk(
        3,
        _TEXT,
        "One chunk has the end of the reasoning and the beginning of the text (native API).",
        "Read both fields of a chunk, the reasoning first. Code that reads one *or* the other loses text.",
        ("reasoning_and_text_in_one_chunk",),
    ),
    Quirk(
        4,
        _TEXT,
        'In the chunks of the answer, `reasoning_content` is `null`, `""` or missing.',
        "Tell reasoning from text by the values, not by which key a chunk has.",
        ("answer_reasoning",),
    ),
    Quirk(
        5,
        _END,
        'In an unfinished chunk, `finish_reason` is `null`, the *string* `"null"` (native API), or missing with its '
        "neighbour `logprobs`.",
        "Take none of the three for an end.",
        ("finish_null_string", "finish_missing_key"),
    ),
    Quirk(
        6,
        _CALLS,
        'Later fragments of a tool call have the id `""` and no name.',
        "Keep the id and the name of the first fragment: an empty string neither replaces them nor begins a new call.",
        ("empty_tool_id",),
    ),
    Quirk(
        7,
        _CALLS,
        "One chunk has fragments of two calls; a fragment has empty arguments; the first fragment has the name with "
        "or without a part of the arguments.",
        "Collect arguments by `index`, whatever else the chunk has.",
        ("two_tool_indexes_in_one_chunk", "empty_tool_deltas", "arguments_with_name"),
    ),
    Quirk(
        8,
        _END,
        "`finish_reason` comes with the last arguments (native API), or in a chunk of its own with `delta: {}`.",
        "Read what a chunk holds before its finish reason ends the reply.",
        ("finish_with_last_arguments",),
    ),
    Quirk(
        9,
        _USAGE,
        "The usage comes in a last chunk with `choices: []`, if `stream_options.include_usage` requests it.",
        "Request it, and do not index the first choice of a chunk without looking.",
        scripted="every stream of the OpenAI-compatible API",
    ),
    Quirk(
        10,
        _USAGE,
        "Every chunk has the usage so far (native API). Details are `{}`, incomplete or missing; QVQ counts its "
        "reasoning as text; models of 2024 send no total.",
        "Take the last usage, never a sum; compute a missing total; report a detail only if it was sent.",
        (
            *("usage_every_chunk", "usage_details_empty", "empty_cache_details", "no_text_tokens"),
            *("usage_details_absent", "no_reasoning_tokens", "no_total_tokens"),
        ),
    ),
    Quirk(
        11,
        _END,
        'A reply ends with `"length"` while the model still thinks: reasoning, and an empty answer.',
        "Do not pass it off as an answer: return the finish reason, and raise `QwenVLOutputError` where tools or JSON "
        "were required.",
        scripted='`Reply(reasoning=…, finish="length")`',
    ),
    Quirk(
        12,
        _OTHER,
        "A content item has keys beside `text`, such as `ocr_result` (native API, OCR tasks).",
        'Keep them: `additional_kwargs["ocr_result"]`.',
        scripted="`Reply(content_extra=…)`",
    ),
    Quirk(
        13,
        _OTHER,
        "`search_info` stands beside the choices.",
        'Keep it: `response_metadata["search_info"]`.',
        ("search_info",),
    ),
    Quirk(
        14,
        _TEXT,
        "Reasoning is in the text, between `<think>` and `</think>`, or with the closing tag only; a copy of a tool "
        "call stands in the reasoning.",
        "Never execute a call that stands in the reasoning. The tags stay in the text, since an answer may quote them: "
        "start an own server with its reasoning parser (see [Providers](providers.md)).",
        ("think_tags", "lone_think_end", "tool_call_in_reasoning"),
    ),
    Quirk(
        15,
        _ERRORS,
        "An error comes inside a stream with HTTP 200, as the native API's `event:error` or as a chunk with `error`, "
        "or with HTTP 400 and a body that is one `data:` line.",
        "Raise the class of its code in all these forms, with the text received before it in `partial`.",
        scripted='`Fault(error_format="in-stream")`, `Fault(error_format="data-body")`',
    ),
    Quirk(
        16,
        _FRAMING,
        "Comment lines between events (`:HTTP_STATUS/200`, heartbeats); lines that end with CR, LF or CRLF; no space "
        "after `data:`; JSON over several `data:` lines; a byte order mark; gzip; characters that two packets share.",
        "Decode server-sent events by their standard, from bytes. Only CR and LF end a line: U+2028 and U+0085 are "
        "text. A comment does not count as progress for `stream_chunk_timeout`.",
        (
            *("comments", "crlf", "cr", "no_space_after_data", "multi_line_data", "bom", "gzip", "split_bytes"),
        ),
    ),
    Quirk(
        17,
        _ERRORS,
        "HTTP 429 has no `Retry-After`, and its code `insufficient_quota` can mean the tokens of this minute.",
        "Repeat it with growing, random delays; do not repeat a quota that waiting does not refill.",
        scripted='`Fault(429, "insufficient_quota")`',
    ),
    Quirk(
        18,
        _OTHER,
        "`x-dashscope-partialresponse: true` marks a whole reply that the service's time limit cut off.",
        'Report it: finish reason `"length"` if there is no other, and `response_metadata["partial_response"]`.',
        ("partial_response",),
    ),
    Quirk(
        19,
        _OTHER,
        "Every response has an `x-request-id`, which the vendor's support asks for.",
        'Keep it: `response_metadata["request_id"]`, and `request_id` of errors.',
        ("no_request_id",),
    ),
    Quirk(
        20,
        _OTHER,
        "A response sets a cookie (`acw_tc`).",
        "Do not record it in cassettes.",
        ("set_cookie",),
    ),
    Quirk(
        0,
        _TEXT,
        "The reasoning is under `reasoning` (newer vLLM, Ollama), or under both keys.",
        "Read either, and count a text under both once.",
        ("reasoning_key",),
    ),
    Quirk(
        0,
        _END,
        "`finish_reason` comes with the last text, or a forced tool call ends with `stop` (vLLM).",
        "Read the text and the calls of that chunk, and judge by the calls, not by the finish reason.",
        ("finish_on_last_text_chunk", "finish_stop_with_tool_calls"),
    ),
    Quirk(
        0,
        _CALLS,
        "Fragments have no `id`, no `type`, or no `arguments`; those of parallel calls alternate; every delta without "
        "calls has `tool_calls: []`.",
        "Collect fragments by `index`; an empty list is no call.",
        (
            *("tool_fragment_without_id", "tool_fragment_without_type", "tool_fragment_without_arguments"),
            *("interleaved_tool_calls", "empty_tool_calls"),
        ),
    ),
    Quirk(
        0,
        _USAGE,
        "The usage comes with the finish reason and no chunk follows it; `reasoning_tokens` is at the top level "
        "(SGLang); there is none although it was requested.",
        "Read it wherever it stands; without one, report none instead of zero.",
        ("usage_on_last_chunk", "reasoning_tokens_top_level", "no_usage"),
    ),
    Quirk(
        0,
        _FRAMING,
        "A stream ends without `[DONE]` (transformers), or `[DONE]` follows an error (vLLM).",
        "Judge by the finish reason: a stream without one is an error.",
        ("no_done", "done_after_error"),
    ),
    Quirk(
        0,
        _ERRORS,
        'An error is `{"error": "text"}` (transformers, Ollama), `{"detail": …}` (FastAPI), has no `error` key (older '
        "vLLM), has the HTTP status as its code, or is cut off.",
        "Read the message in all these forms; keep the body's text where it is no JSON.",
        ("integer_error_code", "error_as_string", "detail_error", "flat_error", "broken_error"),
    ),
)  # fmt: skip
"""The service's quirks by number, then those of other servers."""
