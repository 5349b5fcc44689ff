"""Switches for what the service, and servers that imitate it, do off the main road.

Numbers like "Q6" are the items of the list of wire quirks that an adapter has to survive; "self-hosted" marks
what vLLM, SGLang or transformers servers do. ``None`` means: as each API was recorded.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal


@dataclass(frozen=True)
class Quirks:
    """How the answers of the emulator differ from the recorded main road. The default differs in nothing."""

    # --- reasoning and text -------------------------------------------------------------------------------
    first_reasoning_empty: bool = True
    """Q1: the first compat chunk of a thinking answer carries the role and reasoning ``""``."""
    content_mode: Literal["null", "empty", "list", "missing"] | None = None
    """Q2: how ``content`` is written where there is no text (also in whole messages)."""
    reasoning_and_text_in_one_chunk: bool = False
    """Q3: the last piece of reasoning and the first piece of text share a chunk."""
    answer_reasoning: Literal["null", "empty", "absent"] | None = None
    """Q4: the reasoning key while a thinking answer's text flows (compat: null, native: absent).

    A compat chunk that only finishes says null even where the key is absent before.
    """
    think_tags: bool = False
    """Q14: the reasoning arrives inside the text, between ``<think>`` and ``</think>``."""
    lone_think_end: bool = False
    """Q14, self-hosted: as ``think_tags``, but the opening tag is lost."""
    tool_call_in_reasoning: bool = False
    """Q14: a copy of the tool call's JSON leaks into the reasoning before the real tool call."""
    reasoning_key: Literal["reasoning_content", "reasoning", "both"] = "reasoning_content"
    """Self-hosted: newer vLLM and Ollama say ``reasoning``."""

    # --- finish -------------------------------------------------------------------------------------------
    finish_null_string: bool | None = None
    """Q5: an unfinished chunk says ``"null"``, a string (native does, compat says null)."""
    finish_missing_key: bool = False
    """Q5: chunks that do not finish have no ``finish_reason`` (and no ``logprobs``) at all."""
    finish_on_last_text_chunk: bool | None = None
    """The finish reason rides on the last piece of text (native does; self-hosted servers do)."""
    finish_with_last_arguments: bool | None = None
    """Q8: the finish reason rides on the last piece of arguments (native) or on an own ``delta: {}`` (compat)."""
    finish_stop_with_tool_calls: bool = False
    """Self-hosted: vLLM finishes with ``stop`` when a named tool was forced."""

    # --- tool calls ---------------------------------------------------------------------------------------
    empty_tool_id: bool = True
    """Q6: later fragments of a call carry id ``""``; off, they repeat the id."""
    tool_fragment_without_id: bool = False
    """Self-hosted: later fragments have no ``id``."""
    tool_fragment_without_type: bool = False
    """Self-hosted: later fragments have no ``type``."""
    tool_fragment_without_arguments: bool = False
    """Self-hosted: a fragment without arguments has no ``arguments`` key."""
    arguments_with_name: bool = False
    """Q7 off: the first fragment has the name and the first piece of arguments, not ``""``."""
    empty_tool_deltas: bool = False
    """Q7: a fragment with empty arguments stands between any two pieces."""
    two_tool_indexes_in_one_chunk: bool | None = None
    """Q7: the last fragment of one call and the first of the next share a chunk (native does)."""
    interleaved_tool_calls: bool = False
    """The fragments of parallel calls take turns."""
    empty_tool_calls: bool = False
    """Self-hosted: every message and delta without calls says ``"tool_calls": []``."""

    # --- usage --------------------------------------------------------------------------------------------
    usage_every_chunk: bool | None = None
    """Q10: usage so far on every chunk (native does; vLLM's continuous usage)."""
    usage_on_last_chunk: bool = False
    """Self-hosted: the usage is on the chunk with the finish reason; no chunk without choices follows."""
    usage_details_empty: bool = False
    """Q10: the details of the usage are ``{}``."""
    empty_cache_details: bool = False
    """Q10: natively, ``prompt_tokens_details: {}`` where nothing was cached."""
    no_text_tokens: bool = False
    """Q10: the details count no text tokens (text models)."""
    usage_details_absent: bool = False
    """Q10: no details of the usage (2024 models)."""
    no_reasoning_tokens: bool = False
    """Q10: the reasoning is counted as text (qvq)."""
    reasoning_tokens_top_level: bool = False
    """Self-hosted: SGLang puts ``reasoning_tokens`` beside the counters."""
    no_total_tokens: bool = False
    """Q10: no ``total_tokens`` (2024 models)."""
    no_usage: bool = False
    """Self-hosted: no usage at all, asked for or not."""

    # --- beside the choices -------------------------------------------------------------------------------
    search_info: bool = False
    """Q13: ``search_info`` beside the choices."""
    partial_response: bool = False
    """Q18: header ``x-dashscope-partialresponse: true`` on a whole answer that the time limit cut."""
    no_request_id: bool = False
    """Q19 off: no ``x-request-id`` header and, in errors, no request id in the body."""
    set_cookie: bool = False
    """Q20: an ``acw_tc`` cookie."""

    # --- framing (Q16) ------------------------------------------------------------------------------------
    comments: bool = False
    """Heartbeat comment lines between the events."""
    crlf: bool = False
    """Lines end with CR LF."""
    cr: bool = False
    """Lines end with CR."""
    no_space_after_data: bool | None = None
    """``data:{`` and not ``data: {`` (native does)."""
    multi_line_data: bool = False
    """One event's JSON stands on several ``data:`` lines."""
    bom: bool = False
    """The stream starts with a byte order mark."""
    gzip: bool = False
    """The body is gzipped if the client accepts that; each event is flushed on its own."""
    split_bytes: int = 0
    """The stream is written in pieces of so many bytes, which cuts characters anywhere."""
    no_done: bool = False
    """Self-hosted: no ``[DONE]`` (transformers)."""
    done_after_error: bool = False
    """Self-hosted: ``[DONE]`` after an error in the stream (vLLM)."""

    # --- errors -------------------------------------------------------------------------------------------
    integer_error_code: bool = False
    """Self-hosted: the error's code is the HTTP status, an integer (vLLM)."""
    error_as_string: bool = False
    """Self-hosted: ``{"error": "text"}`` (transformers, Ollama)."""
    detail_error: bool = False
    """Self-hosted: ``{"detail": "text"}`` (FastAPI)."""
    flat_error: bool = False
    """Self-hosted: ``{"object": "error", "message": …}`` without an ``error`` key (older vLLM)."""
    broken_error: bool = False
    """Self-hosted: the error's JSON breaks off."""
