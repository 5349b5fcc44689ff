"""List the servers and hosts that answer for Qwen-VL models, each with its dialect and the source of it.

Sources, versions read: vLLM 0.32 (chat_completion/protocol.py), SGLang 0.5.23 (openai/protocol.py, serving_chat.py),
llama.cpp b11549 (server-common.cpp), transformers 5.24 (cli/serving), LMDeploy 0.18 (protocol.py, multimodal.py),
Xinference 4.1 (restful_api.py), mlx-vlm 0.7.10 (server/schemas.py), Ollama fb30760 (openai/openai.go, routes.go); SDKs
of OpenRouter 1.3.84, Together 3.1.1, Fireworks 1.2.30, Groq 1.7.0; documentation pages of the other hosts, 2026. vLLM,
transformers and llama.cpp were run.
"""

from __future__ import annotations

from difflib import get_close_matches
from typing import Any

from qwenvl_core.catalog.provider_facts import Provider
from qwenvl_core.errors import QwenVLInputError

AUTO = "auto"
"""The value of `provider=` that asks the server for its name."""

_BASIC = frozenset(("temperature", "top_p", "max_tokens", "stop", "tools"))
_OPENAI = _BASIC | {"seed", "presence_penalty", "logprobs", "top_logprobs", "parallel_tool_calls"}
_OPENAI_TOTAL = _OPENAI | {"max_completion_tokens"}
_SAMPLING = frozenset(("top_k", "repetition_penalty"))
_TOTAL_AS_MAX = (("max_completion_tokens", "max_tokens"),)
_ALL_CHOICES = frozenset(("none", "required", "named"))
_ALL_FORMATS = frozenset(("json_object", "json_schema"))
_JSON_OBJECT = frozenset(("json_object",))
_PIXELS = frozenset(("min_pixels", "max_pixels"))
_OPENAI_OUTPUT: dict[str, Any] = {"tool_choices": _ALL_CHOICES, "response_formats": _ALL_FORMATS}
_TEMPLATE: dict[str, Any] = {"tool_media": True, "joins_system": True, "needs_json_word": False}
"""Rules of servers that render the chat template of the weights.

Source: the templates of Qwen3-VL, Qwen3.5, Qwen3.6 and Qwen3.8: a second system message is dropped or an exception, and
a picture in a user message behind a tool's result is taken for a new question.
"""
_TEMPLATE_SWITCH: dict[str, Any] = {
    "thinking_on": "template", "thinking_off": "template", "preserve_thinking": "template",
}  # fmt: skip
_PARAMETER_SWITCH: dict[str, Any] = {"thinking_on": "parameter", "thinking_off": "parameter"}
_OBJECT_SWITCH: dict[str, Any] = {"thinking_on": "reasoning", "thinking_off": "reasoning"}

MODEL_STUDIO = Provider(
    name="model-studio",
    source="Alibaba Cloud Model Studio: Qwen API reference, Visual understanding, Visual reasoning, Error codes",
    key_variable="DASHSCOPE_API_KEY",
    parameters=_OPENAI_TOTAL | _SAMPLING | {"vl_high_resolution_images"},
    **_PARAMETER_SWITCH,
    budget="budget",
    effort="parameter",
    history="content",
    preserve_thinking="parameter",
    continuation="partial",
    **_OPENAI_OUTPUT,
    image_options=_PIXELS | {"enable_rotate"},
    video_options=_PIXELS | {"fps", "total_pixels"},
    frames="list",
    videos=True,
    cache_markers=True,
)
"""The vendor's own service."""

# --- Servers that you run.

VLLM = Provider(
    name="vllm",
    source="vLLM 0.32, run; chat_completion/protocol.py, input_processor.py",
    address="http://localhost:8000/v1",
    parameters=_OPENAI_TOTAL | _SAMPLING,
    **_TEMPLATE_SWITCH,
    budget="token_budget",
    effort="parameter",
    history="content",
    continuation="final_prompt",
    **_OPENAI_OUTPUT,
    forces_tools_while_thinking=True,
    forces_json_while_thinking=True,
    frames="jpeg_sequence",
    videos=True,
    **_TEMPLATE,
    start_command=(
        "vllm serve Qwen/Qwen3-VL-8B-Thinking --reasoning-parser deepseek_r1 "
        "--enable-auto-tool-choice --tool-call-parser hermes"
    ),
)
_SGLANG = Provider(
    name="sglang",
    source="SGLang 0.5.23: openai/protocol.py, serving_chat.py",
    address="http://localhost:30000/v1",
    parameters=_OPENAI_TOTAL | _SAMPLING,
    **_TEMPLATE_SWITCH,
    history="content",
    continuation="final_message",
    **_OPENAI_OUTPUT,
    forces_tools_while_thinking=True,
    forces_json_while_thinking=True,
    video_options=frozenset(("fps",)),
    option_place="inside",
    videos=True,
    **_TEMPLATE,
    start_command=(
        "python -m sglang.launch_server --model-path Qwen/Qwen3-VL-8B-Thinking --reasoning-parser qwen3-thinking "
        "--tool-call-parser qwen25"
    ),
)
LLAMA_CPP = Provider(
    name="llama.cpp",
    source="llama.cpp b11549, run; server-common.cpp, clip.cpp (8 to 4,096 tokens an image)",
    address="http://localhost:8080/v1",
    parameters=_OPENAI_TOTAL | {"top_k"},
    renamed=(("repetition_penalty", "repeat_penalty"),),
    **_TEMPLATE_SWITCH,
    budget="budget_tokens",
    effort="parameter",
    history="content",
    continuation="always",
    repeats_prefix=True,
    tool_choices=frozenset(("none", "required")),  # an object is read as a string, and falls back to "auto"
    forces_tools_while_thinking=True,
    response_formats=_ALL_FORMATS,
    forces_json_while_thinking=True,
    videos=True,
    **_TEMPLATE,
    image_token_bounds=(8, 4096),
    start_command=(
        "llama-server -m Qwen3-VL-8B-Thinking-Q4_K_M.gguf --mmproj mmproj-Qwen3-VL-8B-Thinking-F16.gguf --jinja "
        "--reasoning-format deepseek"
    ),
)
_TRANSFORMERS = Provider(
    name="transformers",
    source="transformers 5.24, run; cli/serving/chat_completion.py, utils.py (another field is a 422)",
    address="http://localhost:8000/v1",
    # `stop` is taken, but is a 500 in replies that are not streamed.
    parameters=frozenset(("temperature", "top_p", "max_tokens", "max_completion_tokens", "seed", "tools")),
    **_TEMPLATE_SWITCH,
    videos=True,
    **_TEMPLATE,
    stream_usage=False,  # always in the last chunk
)
_LMDEPLOY = Provider(
    name="lmdeploy",
    source="LMDeploy 0.18: protocol.py, multimodal.py, response_parser.py",
    address="http://localhost:23333/v1",
    parameters=_OPENAI_TOTAL | _SAMPLING,
    **_TEMPLATE_SWITCH,
    **_OPENAI_OUTPUT,
    image_options=_PIXELS,
    video_options=_PIXELS | {"fps"},
    option_place="inside",
    videos=True,
    **_TEMPLATE,
)
_XINFERENCE = Provider(
    name="xinference",
    source="Xinference 4.1: restful_api.py",
    address="http://localhost:9997/v1",
    parameters=_OPENAI,
    renamed=_TOTAL_AS_MAX,
    **_PARAMETER_SWITCH,
    **_OPENAI_OUTPUT,
    **_TEMPLATE,
)
_MLX_VLM = Provider(
    name="mlx-vlm",
    source="mlx-vlm 0.7.10: server/schemas.py, server/openai.py",
    address="http://localhost:8080/v1",
    parameters=_OPENAI | _SAMPLING,
    renamed=_TOTAL_AS_MAX,
    **_PARAMETER_SWITCH,
    budget="budget",
    history="content",
    **_OPENAI_OUTPUT,
    **_TEMPLATE,
)
_OLLAMA = Provider(
    name="ollama",
    source="Ollama fb30760: openai/openai.go, server/routes.go",
    local_port=11434,
    address="http://localhost:11434/v1",
    parameters=_OPENAI - {"parallel_tool_calls"},
    renamed=_TOTAL_AS_MAX,  # `max_completion_tokens` is ignored
    thinking_off="effort",  # on by default; an effort is a 400 at models that do not think
    can_stop_always_thinking=True,
    history="plain",
    response_formats=_ALL_FORMATS,  # there is no `tool_choice`
    needs_json_word=False,
    remote_media=False,
    image_formats=("image/jpeg", "image/png", "image/webp"),
    start_command="ollama pull qwen3-vl:8b && ollama serve",
)
_LM_STUDIO = Provider(
    name="lm-studio",
    source="LM Studio: chat completions page; lmstudio-bug-tracker #988, #2284, #2413",
    local_port=1234,
    address="http://localhost:1234/v1",
    parameters=_BASIC | {"seed", "presence_penalty", "logprobs", "top_k"},
    renamed=(("repetition_penalty", "repeat_penalty"), *_TOTAL_AS_MAX),
    thinking_off="effort",
    tool_choices=frozenset(("none", "required")),
    response_formats=frozenset(("json_schema",)),
    remote_media=False,
)

# --- Hosts.

_OPENROUTER = Provider(
    name="openrouter",
    source="OpenRouter SDK 1.3.84: chatrequest.py; docs: reasoning tokens",
    hosts=("openrouter.ai",),
    address="https://openrouter.ai/api/v1",
    key_variable="OPENROUTER_API_KEY",
    parameters=_OPENAI_TOTAL | _SAMPLING,
    **_OBJECT_SWITCH,
    budget="reasoning",
    effort="reasoning",
    history="plain",
    **_OPENAI_OUTPUT,
    videos=True,
    stream_usage=False,  # always in the last chunk
)
_SILICONFLOW = Provider(
    name="siliconflow",
    source="docs.siliconflow.cn: chat completions, vision (budget, fps)",
    hosts=("siliconflow.cn", "siliconflow.com"),
    address="https://api.siliconflow.cn/v1",
    key_variable="SILICONFLOW_API_KEY",
    parameters=_BASIC | {"top_k"},
    renamed=_TOTAL_AS_MAX,
    **_PARAMETER_SWITCH,
    budget="budget",
    budget_range=(128, 32_768),
    tool_choices=_ALL_CHOICES,
    response_formats=_JSON_OBJECT,
    video_options=frozenset(("fps",)),
    option_place="inside",
    videos=True,
)
_MODELSCOPE = Provider(
    name="modelscope",
    source="modelscope.cn: snippets of the model pages",
    hosts=("api-inference.modelscope.cn",),
    address="https://api-inference.modelscope.cn/v1",
    key_variable="MODELSCOPE_API_KEY",
    parameters=_OPENAI,
    renamed=_TOTAL_AS_MAX,
    **_PARAMETER_SWITCH,
    budget="budget",
    **_OPENAI_OUTPUT,
)
_NOVITA = Provider(
    name="novita",
    source="novita.ai docs: create chat completion",
    hosts=("api.novita.ai",),
    address="https://api.novita.ai/openai/v1",
    key_variable="NOVITA_API_KEY",
    parameters=_OPENAI - {"parallel_tool_calls"} | _SAMPLING,
    renamed=_TOTAL_AS_MAX,
    **_PARAMETER_SWITCH,
    reasoning_request="separate_reasoning",
    history="content",
    **_OPENAI_OUTPUT,
    videos=True,
)
_TOGETHER = Provider(
    name="together",
    source="Together SDK 3.1.1: chat/completion_create_params.py",
    hosts=("api.together.xyz",),
    address="https://api.together.xyz/v1",
    key_variable="TOGETHER_API_KEY",
    parameters=_BASIC | _SAMPLING | {"seed", "presence_penalty"},  # `logprobs` is a number there
    renamed=_TOTAL_AS_MAX,
    **_OBJECT_SWITCH,
    history="plain",
    **_OPENAI_OUTPUT,
    videos=True,
    stream_usage=False,
)
_FIREWORKS = Provider(
    name="fireworks",
    source="Fireworks SDK 1.2.30: chat/completion_create_params.py",
    hosts=("api.fireworks.ai",),
    address="https://api.fireworks.ai/inference/v1",
    key_variable="FIREWORKS_API_KEY",
    parameters=_OPENAI_TOTAL | _SAMPLING,
    thinking_off="effort",
    budget="thinking",
    budget_range=(1024, None),
    history="content",
    **_OPENAI_OUTPUT,
    video_options=frozenset(("fps",)),
    option_place="inside",
    sample_rate="sample_fps",
    videos=True,
    stream_usage=False,
)
_DEEPINFRA = Provider(
    name="deepinfra",
    source="docs.deepinfra.com: chat, reasoning; litellm 1.110",
    hosts=("api.deepinfra.com",),
    address="https://api.deepinfra.com/v1/openai",
    key_variable="DEEPINFRA_API_KEY",
    parameters=_BASIC | _SAMPLING | {"seed", "presence_penalty"},
    renamed=_TOTAL_AS_MAX,
    **_OBJECT_SWITCH,
    tool_choices=frozenset(("none",)),
    response_formats=_JSON_OBJECT,
    stream_usage=False,
)
_NEBIUS = Provider(
    name="nebius",
    source="docs.tokenfactory.nebius.com; models.dev #4377",
    hosts=("nebius.com",),
    address="https://api.tokenfactory.nebius.com/v1",
    key_variable="NEBIUS_API_KEY",
    parameters=_OPENAI,
    renamed=_TOTAL_AS_MAX,
    thinking_off="effort",
    **_OPENAI_OUTPUT,
)
_GROQ = Provider(
    name="groq",
    source="Groq SDK 1.7.0: chat/completion_create_params.py",
    hosts=("api.groq.com",),
    address="https://api.groq.com/openai/v1",
    key_variable="GROQ_API_KEY",
    parameters=_OPENAI_TOTAL,
    thinking_off="effort",
    reasoning_request="reasoning_format",
    history="plain",
    tool_choices=_ALL_CHOICES,
    response_formats=_JSON_OBJECT,  # schemas at some models only
    stream_usage=False,
)
OPENAI_COMPATIBLE = Provider(
    name="openai-compatible",
    source="OpenAI's API reference; what servers of open weights have in common",
    parameters=_OPENAI_TOTAL | _SAMPLING,
    thinking_off="template",
    **_OPENAI_OUTPUT,
)
"""Any other server: OpenAI's parameters, and what the servers of open weights have in common."""

PROVIDERS: tuple[Provider, ...] = (
    MODEL_STUDIO, VLLM, _SGLANG, LLAMA_CPP, _TRANSFORMERS, _LMDEPLOY, _XINFERENCE, _MLX_VLM, _OLLAMA, _LM_STUDIO,
    _OPENROUTER, _SILICONFLOW, _MODELSCOPE, _NOVITA, _TOGETHER, _FIREWORKS, _DEEPINFRA, _NEBIUS, _GROQ,
    OPENAI_COMPATIBLE,
)  # fmt: skip
"""Every row, the vendor's first and the most general last."""

_BY_NAME = {provider.name: provider for provider in PROVIDERS}


def get_provider(name: str) -> Provider:
    """Return the row of a provider.

    Raises:
        QwenVLInputError: There is no such provider.
    """
    if name in _BY_NAME:
        return _BY_NAME[name]
    similar = get_close_matches(str(name).lower(), _BY_NAME, n=1, cutoff=0.5)
    hint = f" Did you mean {similar[0]!r}?" if similar else ""
    raise QwenVLInputError(f"Unknown provider: {name!r}. Known: {', '.join((*_BY_NAME, AUTO))}.{hint}")
