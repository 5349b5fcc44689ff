"""Describe an unknown keyword: a typing error, or a keyword of another package for the same service."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from difflib import get_close_matches

_EXTRA_BODY = "Pass further parameters of the service in extra_body={...}."
# Keywords of ChatOpenAI, ChatQwen, ChatTongyi, DashScope and OpenAILike that have another name here or none.
_ELSEWHERE: dict[str, str] = {
    **dict.fromkeys(("api_base", "openai_api_base", "dashscope_api_base"), "Use base_url=, or region=."),
    **dict.fromkeys(("dashscope_api_key", "openai_api_key"), "Use api_key=."),
    "model_name": "Use model=.",
    "request_timeout": "Use timeout=.",
    "async_http_client": "Use http_async_client=.",
    **dict.fromkeys(
        ("model_kwargs", "additional_kwargs"),
        "Pass its entries as keywords, and those that are no keywords in extra_body={...}.",
    ),
    "stream_usage": "Leave it out: token usage always comes.",
    **dict.fromkeys(
        ("is_chat_model", "is_function_calling_model", "should_use_structured_outputs"),
        "Leave it out: the catalog states what the model can do.",
    ),
}
TOOL_KEYWORDS = ("tools", "tool_choice", "parallel_tool_calls")
"""Keywords of a call with tools, which a model object does not have."""
CALL_KEYWORDS = ("response_format", "extra_headers", "extra_query")
"""The other keywords of a call that a model object does not have."""


def describe_unknown_keyword(name: str, allowed: Collection[str], hints: Mapping[str, str] = {}) -> str:
    """Describe a keyword that is not allowed, and what to pass instead.

    Args:
        name: The keyword.
        allowed: The keywords that are allowed.
        hints: What to do instead, for keywords that need other words for this class than for others.
    """
    hint = hints.get(name) or _ELSEWHERE.get(name)
    if hint:
        return f"Unknown keyword {name!r}. {hint}"
    similar = get_close_matches(name, allowed, n=1)
    return f"Unknown keyword {name!r}{f'; did you mean {similar[0]!r}?' if similar else '.'} {_EXTRA_BODY}"
