"""Render the documentation page of the providers from their rows."""

from __future__ import annotations

import json
from dataclasses import replace

from qwenvl_core.catalog.provider_facts import Provider
from qwenvl_core.catalog.provider_models import describe_at
from qwenvl_core.catalog.providers import AUTO, PROVIDERS
from qwenvl_core.request import policy
from qwenvl_core.types.messages import Message, TextPart
from qwenvl_core.types.request import Request
from qwenvl_core.types.settings import ModelSettings
from qwenvl_core.wire.dialects import encode_parameters
from tests.support.rendered_pages.markdown import build_notice, build_table, join_sections

_HYBRID = "Qwen/Qwen3.5-27B"
_INTRODUCTION = f"""# Providers

{build_notice("qwenvl_core/catalog/providers.py")}
<!-- cassette: none -->

`ChatQwenVL` and `QwenVL` talk to Model Studio by default, and to any server of the OpenAI-compatible API with
`base_url=` and `provider=`. The provider decides how a request is written: the same keyword becomes another parameter,
is done by this package instead, is left out and reported in `adjustments`, or is an error before anything is sent.

```python
from langchain_qwenvl import ChatQwenVL
from llama_index_qwenvl import QwenVL

ChatQwenVL(model="Qwen/Qwen3-VL-8B-Thinking", base_url="http://localhost:8000/v1", provider="vllm")
QwenVL(model="qwen3-vl:8b", base_url="http://localhost:11434/v1")  # Ollama, by its port
```

Without `provider=` it is guessed, without asking the network: by the host, by Model Studio's path
`/compatible-mode/v1`, by a model's name that only Model Studio has, by the local ports of Ollama and LM Studio; else it
is `openai-compatible`, which sends the least. `provider="{AUTO}"` asks `GET /models` once, at the first call; vLLM and
llama.cpp are recognised by it and tell their context window. The provider in use is in
`response_metadata["provider"]` (LangChain) and `ChatResponse.additional_kwargs["provider"]` (LlamaIndex).

**Keys.** An explicit `api_key=` goes to `base_url`. Keys of the environment go to their own provider only:
`DASHSCOPE_API_KEY` to Model Studio's hosts, to the host of `DASHSCOPE_BASE_URL`, and where `provider="model-studio"` or
`api="dashscope"` says that Model Studio answers. Servers without a variable below get the key `EMPTY`.
"""


def render() -> str:
    """Render the page as Markdown."""
    return join_sections(
        _INTRODUCTION,
        "## Start a server\n\nEach command serves Qwen3-VL with thinking and tool calls parsed. The weights that think "
        "and those that do not are separate models; Qwen3.5 and newer do both.\n\n"
        + "\n".join(_render_command(provider) for provider in PROVIDERS if provider.start_command),
        "## Address and key\n\n" + build_table(("provider", "usual base URL", "key"), map(_list_address, PROVIDERS)),
        "## Thinking\n\nParameters that switch the thinking of a hybrid model on and off, limit it, and carry the "
        "reasoning of earlier messages. “—” is not sent: a keyword for it is an error.\n\n"
        + build_table(
            ("provider", "on", "off", "`thinking_budget=2000`", "effort", "earlier reasoning"),
            map(_list_thinking, PROVIDERS),
        ),
        "## Tools, JSON, continuation\n\nWhat a server does not support, this package does: a named tool is offered "
        "alone, a forced tool and JSON are demanded in the prompt and checked.\n\n"
        + build_table(
            ("provider", "`tool_choice`", "JSON", "while thinking", "partial message"), map(_list_output, PROVIDERS)
        ),
        "## Media\n\n"
        + build_table(
            ("provider", "images", "videos", "options with an effect", "frames", "tool images", "system messages"),
            map(_list_media, PROVIDERS),
        ),
        "## Parameters that are not taken\n\nA keyword is an error; `extra_body` sends it all the same.\n\n"
        + build_table(("provider", "not taken", "under another name"), map(_list_parameters, PROVIDERS)),
        "## Sources\n\n" + build_table(("provider", "source"), ((f"`{row.name}`", row.source) for row in PROVIDERS)),
    )  # fmt: skip


def _render_command(provider: Provider) -> str:
    return f"### {provider.name}\n\n```console\n$ {provider.start_command}\n```\n"


def _encode(provider: Provider, **settings: object) -> str:
    chat = Request(
        messages=(Message("user", (TextPart("Hi"),)),),
        settings=replace(ModelSettings(model=_HYBRID, provider=provider.name), **settings),  # type: ignore[arg-type]
    )
    body = encode_parameters(policy.prepare(chat, describe_at(_HYBRID, provider.name)))
    return f"`{json.dumps(body)[1:-1]}`" if body else "its default"


def _list_address(provider: Provider) -> tuple[str, ...]:
    address = f"`{provider.address}`" if provider.address else "by `region=`" if provider.is_model_studio else "any"
    return f"`{provider.name}`", address, f"`{provider.key_variable}`" if provider.key_variable else "—"


def _list_thinking(provider: Provider) -> tuple[str, ...]:
    budget = "—" if provider.budget is None else _encode(provider, thinking_budget=2000)
    effort = {None: "—", "parameter": "`reasoning_effort`", "reasoning": "`reasoning.effort`"}[provider.effort]
    history = {None: "—", "content": "`reasoning_content`", "plain": "`reasoning`"}[provider.history]
    off = _encode(provider, enable_thinking=False, thinking_source="call")
    return f"`{provider.name}`", _encode(provider), off, budget, effort, history


def _list_output(provider: Provider) -> tuple[str, ...]:
    choices = ", ".join(sorted(provider.tool_choices)) or "—"
    formats = ", ".join(sorted(provider.response_formats)) or "—"
    forced = {
        (True, True): "tools and JSON",
        (True, False): "tools",
        (False, True): "JSON",
        (False, False): "asked for first",
    }[provider.forces_tools_while_thinking, provider.forces_json_while_thinking]
    return f"`{provider.name}`", choices, formats, forced, "continued" if provider.continuation else "—"


def _list_media(provider: Provider) -> tuple[str, ...]:
    images = "URL, local" if provider.remote_media else "local"
    options = ", ".join(sorted(provider.image_options | provider.video_options)) or "—"
    frames = {"list": "as a video", "jpeg_sequence": "as one data URI", "images": "as images"}[provider.frames]
    place = "in place" if provider.tool_media else "moved to a user message"
    system = "joined into the first" if provider.joins_system else "as they are"
    return f"`{provider.name}`", images, "yes" if provider.videos else "—", options, frames, place, system


def _list_parameters(provider: Provider) -> tuple[str, ...]:
    from qwenvl_core.request.provider_validation import PARAMETERS

    refused = [f"`{name}`" for name in PARAMETERS if provider.get_parameter(name) is None]
    renamed = [f"`{name}` as `{other}`" for name, other in provider.renamed]
    return f"`{provider.name}`", ", ".join(refused) or "—", ", ".join(renamed) or "—"
