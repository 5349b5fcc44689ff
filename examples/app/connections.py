"""Choose who answers: a model at the provider of the form, or without a key the bundled recordings."""

import os
from dataclasses import dataclass, field
from typing import Any

import openai
from pydantic import SecretStr

from examples.app import recordings
from examples.app.scans import QUESTIONS, Scan, open_bundled
from langchain_qwenvl import ChatQwenVL
from qwenvl_core.catalog.endpoints import resolve_endpoint
from qwenvl_core.catalog.models import CATALOGUE
from qwenvl_core.catalog.provider_models import describe_at
from qwenvl_core.catalog.providers import PROVIDERS, get_provider
from qwenvl_core.errors import QwenVLError

PROVIDER_NAMES = [row.name for row in PROVIDERS]
MODELS = [facts.name for facts in CATALOGUE if facts.thinking == "hybrid" and facts.images and not facts.open_weights]
"""Names to choose from at Model Studio; any other may be typed."""


@dataclass(frozen=True)
class Connection:
    """What the form says about who answers.

    Attributes:
        provider: Name of a row of the provider catalog.
        model: Name of the model.
        base_url: Base URL of the server; empty for the row's usual one.
        key: The key that was typed; empty for that of the environment.
    """

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
        always_thinks = describe_at(self.model, self.provider).thinking == "always"
        options: dict[str, Any] = {"enable_thinking": False} if reads_pages and not always_thinks else {}
        if self.is_recorded:
            client = openai.DefaultHttpxClient(transport=recordings.RecordedReplies())
            return ChatQwenVL(model=self.model, api_key="recorded", http_client=client, **options)
        return ChatQwenVL(
            model=self.model,
            provider=self.provider,
            base_url=self.base_url or find_base_url(self.provider),
            api_key=SecretStr(self.key) if self.key else None,
            **options,
        )


def check_recorded(connection: Connection, scan: Scan) -> None:
    """Raise if a scan has no recordings, but only these can answer.

    Recordings are found by an image's size, so another scan of that size would get the text of a bundled one.

    Raises:
        QwenVLError: The scan is not a bundled one.
    """
    if connection.is_recorded and not any(scan.data == open_bundled(name).data for name in QUESTIONS):
        raise QwenVLError("There is no recording of it.", code=recordings.NO_RECORDING)


def find_model(provider: str) -> str:
    """Return the name of a model to begin with at a provider."""
    return {"model-studio": "qwen3-vl-plus", "ollama": "qwen3-vl:8b"}.get(provider, "Qwen/Qwen3.5-27B")


def find_base_url(provider: str) -> str:
    """Return the usual base URL of a provider; for Model Studio, that of the environment's region."""
    row = get_provider(provider)
    if not row.is_model_studio:
        return row.address
    environment = os.environ.get
    return resolve_endpoint(
        "openai",
        region=environment("DASHSCOPE_REGION") or "cn-beijing",
        workspace=environment("DASHSCOPE_WORKSPACE"),
        base_url=environment("DASHSCOPE_BASE_URL"),
    )


def explain_error(error: Exception) -> str:
    """Say what went wrong and what to do, without a traceback."""
    if isinstance(error, QwenVLError) and error.code == recordings.NO_RECORDING:
        return (
            "There is no recording of this. Without a key, the page knows the two bundled scans, the questions below "
            "the box and one model. For anything else, type a key under “Model and provider”, or start the page with "
            "DASHSCOPE_API_KEY set or with PROVIDER=llama.cpp."
        )
    return str(error)
