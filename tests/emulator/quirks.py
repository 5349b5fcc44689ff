"""Switch on deviations from the recorded replies, of the service itself or of servers that imitate it.

Numbers like "Q6" are those of `quirk_list.py`, the wire quirks that an adapter has to handle; "self-hosted" marks the
behaviour of vLLM, SGLang or transformers servers. ``None`` selects the behaviour recorded for each API.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal


@dataclass(frozen=True)
class Quirks:
    """Deviations of replies from the recordings; the default has none."""

    # --- reasoning and text -------------------------------------------------------------------------------
    first_reasoning_empty: bool = True
    """Q1: the first compat chunk of a thinking reply has the role and reasoning ``""``."""
    content_mode: Literal["null", "empty", "list", "missing"] | None = None
    """Q2: the form of ``content`` without text (also in whole messages)."""
    reasoning_and_text_in_one_chunk: bool = False
    """Q3: the last delta of reasoning and the first delta of text share a chunk."""
    answer_reasoning: Literal["null", "empty", "absent"] | None = None
    """Q4: the reasoning key in the text chunks of a thinking reply (compat: null, native: absent).

    In a compat chunk with only the finish reason the key is null even if it is absent before.
    """
    think_tags: bool = False
    """Q14: the reasoning is inside the text, between ``<think>`` and ``</think>``."""
    lone_think_end: bool = False
    """Q14, self-hosted: as ``think_tags``, but the opening tag is missing."""
    tool_call_in_reasoning: bool = False
    """Q14: a copy of the tool call's JSON leaks into the reasoning before the real tool call."""
    reasoning_key: Literal["reasoning_content", "reasoning", "both"] = "reasoning_content"
    """Self-hosted: newer vLLM and Ollama use ``reasoning``."""

    # --- finish -------------------------------------------------------------------------------------------
    finish_null_string: bool | None = None
    """Q5: the finish reason of an unfinished chunk is the string ``"null"`` (native) or null (compat)."""
    finish_missing_key: bool = False
    """Q5: unfinished chunks have neither ``finish_reason`` nor ``logprobs``."""
    finish_on_last_text_chunk: bool | None = None
    """The chunk with the last text has the finish reason (native and self-hosted servers)."""
    finish_with_last_arguments: bool | None = None
    """Q8: the chunk with the last arguments has the finish reason (native), or a separate ``delta: {}`` (compat)."""
    finish_stop_with_tool_calls: bool = False
    """Self-hosted: vLLM finishes with ``stop`` when a named tool was forced."""

    # --- tool calls ---------------------------------------------------------------------------------------
    empty_tool_id: bool = True
    """Q6: later fragments of a call have the id ``""``; if false, they repeat the id."""
    tool_fragment_without_id: bool = False
    """Self-hosted: later fragments have no ``id``."""
    tool_fragment_without_type: bool = False
    """Self-hosted: later fragments have no ``type``."""
    tool_fragment_without_arguments: bool = False
    """Self-hosted: a fragment without arguments has no ``arguments`` key."""
    arguments_with_name: bool = False
    """Not Q7: the first fragment has the name and the first arguments, not ``""``."""
    empty_tool_deltas: bool = False
    """Q7: a fragment with empty arguments precedes each fragment of arguments."""
    two_tool_indexes_in_one_chunk: bool | None = None
    """Q7: the last fragment of one call and the first of the next share a chunk (native)."""
    interleaved_tool_calls: bool = False
    """The fragments of parallel calls alternate."""
    empty_tool_calls: bool = False
    """Self-hosted: every message and delta without calls has ``"tool_calls": []``."""

    # --- usage --------------------------------------------------------------------------------------------
    usage_every_chunk: bool | None = None
    """Q10: every chunk has the usage so far (native; vLLM's continuous usage)."""
    usage_on_last_chunk: bool = False
    """Self-hosted: the chunk with the finish reason has the usage; no chunk without choices follows."""
    usage_details_empty: bool = False
    """Q10: the usage details are ``{}``."""
    empty_cache_details: bool = False
    """Q10, native: ``prompt_tokens_details: {}`` if nothing was cached."""
    no_text_tokens: bool = False
    """Q10: the usage details have no text tokens (text models)."""
    usage_details_absent: bool = False
    """Q10: no usage details (2024 models)."""
    no_reasoning_tokens: bool = False
    """Q10: reasoning tokens count as text tokens (qvq)."""
    reasoning_tokens_top_level: bool = False
    """Self-hosted: SGLang puts ``reasoning_tokens`` at the top level of the usage."""
    no_total_tokens: bool = False
    """Q10: no ``total_tokens`` (2024 models)."""
    no_usage: bool = False
    """Self-hosted: no usage, even if it was requested."""

    # --- other fields and headers -------------------------------------------------------------------------
    search_info: bool = False
    """Q13: ``search_info`` next to the choices."""
    partial_response: bool = False
    """Q18: header ``x-dashscope-partialresponse: true`` of a whole reply that the time limit cut off."""
    no_request_id: bool = False
    """Not Q19: no ``x-request-id`` header and, in errors, no request id in the body."""
    set_cookie: bool = False
    """Q20: the response sets an ``acw_tc`` cookie."""

    # --- framing (Q16) ------------------------------------------------------------------------------------
    comments: bool = False
    """Heartbeat comment lines between the events."""
    crlf: bool = False
    """Lines end with CR LF."""
    cr: bool = False
    """Lines end with CR."""
    no_space_after_data: bool | None = None
    """No space after the colon: ``data:{`` (native)."""
    multi_line_data: bool = False
    """The JSON of one event spans several ``data:`` lines."""
    bom: bool = False
    """The stream starts with a byte order mark."""
    gzip: bool = False
    """The body is gzipped if the client accepts gzip, with a flush after each event."""
    split_bytes: int = 0
    """Number of bytes per write, which splits characters at any byte; 0: one write per event."""
    no_done: bool = False
    """Self-hosted: no ``[DONE]`` at the end (transformers)."""
    done_after_error: bool = False
    """Self-hosted: ``[DONE]`` follows an error in the stream (vLLM)."""

    # --- errors -------------------------------------------------------------------------------------------
    integer_error_code: bool = False
    """Self-hosted: the error code is the HTTP status, an integer (vLLM)."""
    error_as_string: bool = False
    """Self-hosted: ``{"error": "text"}`` (transformers, Ollama)."""
    detail_error: bool = False
    """Self-hosted: ``{"detail": "text"}`` (FastAPI)."""
    flat_error: bool = False
    """Self-hosted: ``{"object": "error", "message": …}`` without an ``error`` key (older vLLM)."""
    broken_error: bool = False
    """Self-hosted: the JSON of an error is truncated."""
