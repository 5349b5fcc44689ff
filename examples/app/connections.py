"""Choose who answers: a model at the provider of the form, or without a key the bundled recordings."""

import os
from contextlib import ExitStack
from dataclasses import dataclass, field
from typing import Any

import openai
from pydantic import SecretStr

from examples.app.recordings import RecordedReplies
from langchain_qwenvl import ChatQwenVL
from qwenvl_core.catalog.models import CATALOGUE
from qwenvl_core.catalog.provider_models import describe_at
from qwenvl_core.catalog.providers import PROVIDERS, get_provider
from tests.support import llama_server

PROVIDER_NAMES = [row.name for row in PROVIDERS]
MODELS = [facts.name for facts in CATALOGUE if facts.thinking == "hybrid" and facts.images and not facts.open_weights]
"""Names to choose from, of Model Studio; any other may be typed."""


@dataclass(frozen=True)
class Connection:
    """What the form says about who answers; an empty base URL is the usual one, an empty key the environment's."""

    provider: str
    model: str
    base_url: str = ""
    key: str = field(default="", repr=False)

    @property
    def is_recorded(self) -> bool:
        """Whether there is no key for Model Studio, so that the recordings answer."""
        is_model_studio = get_provider(self.provider).is_model_studio
        return is_model_studio and not self.key and not os.environ.get("DASHSCOPE_API_KEY")

    def create_model(self, *, reads_pages: bool = False) -> ChatQwenVL:
        """Create the model.

        Args:
            reads_pages: Whether it transcribes, which needs no thinking: thinking is billed as output.

        Raises:
            QwenVLError: A value of the form is invalid, or the provider needs a key.
        """
        options: dict[str, Any] = {}
        if reads_pages and describe_at(self.model, self.provider).thinking != "always":
            options["enable_thinking"] = False
        if self.is_recorded:
            client = openai.DefaultHttpxClient(transport=RecordedReplies())
            return ChatQwenVL(model=self.model, api_key="recorded", http_client=client, **options)
        if base_url := self.base_url or get_provider(self.provider).address:
            options["base_url"] = base_url  # left out, it is that of the environment's region
        if self.key:
            options["api_key"] = SecretStr(self.key)
        return ChatQwenVL(model=self.model, provider=self.provider, **options)


def choose_connection(stack: ExitStack) -> Connection:
    """Return what the form says at first, from PROVIDER, MODEL and BASE_URL; start llama.cpp's server if it is needed.

    Raises:
        QwenVLError: There is no such provider.
        ValueError: This machine has no wheel of llama.cpp's server.
    """
    provider, base_url = os.environ.get("PROVIDER") or "model-studio", os.environ.get("BASE_URL") or ""
    get_provider(provider)  # raises if there is no such provider
    if provider == "llama.cpp" and not base_url:
        if not llama_server.is_available():
            raise ValueError(f"{llama_server.REASON}. Pass BASE_URL= of a server of your own.")
        base_url = stack.enter_context(llama_server.serve("hello")).base_url
    return Connection(provider, os.environ.get("MODEL") or "qwen3-vl-plus", base_url)
