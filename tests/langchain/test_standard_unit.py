"""LangChain's own unit tests for chat models, with thinking on and off."""

from __future__ import annotations

from typing import Any

import pytest
from langchain_core.language_models import BaseChatModel
from langchain_tests.unit_tests import ChatModelUnitTests

from langchain_qwenvl import ChatQwenVL

# LangChain's suite calls its own loader, a beta, and its own `dict`, deprecated.
pytestmark = [
    pytest.mark.filterwarnings("ignore:The function `load` is in beta"),
    pytest.mark.filterwarnings("ignore:The method `BaseChatModel.dict` was deprecated"),
]


class TestThinking(ChatModelUnitTests):
    """The model with default settings."""

    thinks = True

    @property
    def chat_model_class(self) -> type[BaseChatModel]:
        return ChatQwenVL

    @property
    def chat_model_params(self) -> dict[str, Any]:
        return {"model": "qwen3-vl-plus"} if self.thinks else {"model": "qwen3-vl-plus", "enable_thinking": False}

    @property
    def init_from_env_params(self) -> tuple[dict[str, str], dict[str, Any], dict[str, Any]]:
        return (
            {
                "DASHSCOPE_API_KEY": "sk-test",
                "DASHSCOPE_REGION": "singapore",
                "DASHSCOPE_WORKSPACE": "ws-1",
                "DASHSCOPE_BASE_URL": "http://127.0.0.1:9/compatible-mode/v1",
            },
            {},
            {
                "api_key": "sk-test",
                "region": "singapore",
                "workspace": "ws-1",
                "base_url": "http://127.0.0.1:9/compatible-mode/v1",
            },
        )

    supports_image_inputs = True
    supports_image_urls = True
    supports_video_inputs = True
    supports_image_tool_message = True
    supports_anthropic_inputs = True
    supports_json_mode = True


class TestNotThinking(TestThinking):
    """A hybrid model that does not think."""

    thinks = False
