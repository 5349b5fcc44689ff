"""Choose the provider row for a base URL and a model, and the key that may be sent there. Nothing is asked.

The guess is safe: where neither host nor name belongs to one provider alone, it is the row that sends the least.
"""

from __future__ import annotations

import ipaddress
import os
import re
from urllib.parse import urlsplit

from qwenvl_core.catalog.endpoints import PATHS
from qwenvl_core.catalog.models import describe
from qwenvl_core.catalog.names import canonicalize, is_service_name
from qwenvl_core.catalog.provider_facts import Provider
from qwenvl_core.catalog.providers import AUTO, MODEL_STUDIO, OPENAI_COMPATIBLE, PROVIDERS, get_provider
from qwenvl_core.errors import QwenVLInputError

_VENDOR_HOST = re.compile(
    r"dashscope[a-z0-9-]*\.aliyuncs\.com|[a-z0-9-]+(\.[a-z0-9-]+)*\.(dashscope|maas)\.aliyuncs\.com"
)
"""Model Studio's hosts. Other hosts below aliyuncs.com serve other products, for example vLLM (PAI-EAS).

Only characters of host names count: HTTP libraries differ in where the host of `evil.com\\.maas.aliyuncs.com` ends.
"""
_COMMERCIAL = frozenset(("plus", "flash", "max"))
"""Parts of the names of models that the vendor serves only."""
NO_KEY = "EMPTY"
"""The key that is sent to servers that need none; an empty one can't be sent."""


def resolve_provider(name: str | None, *, api: str, base_url: str | None, model: str) -> Provider:
    """Return the row of the provider that answers.

    Args:
        name: The caller's `provider`; `None` and `"auto"` guess it.
        api: `"openai"` or `"dashscope"`, which is the vendor's own.
        base_url: The caller's base URL; `None` for the vendor's hosts.
        model: Name of the model.

    Raises:
        QwenVLInputError: The name is unknown, contradicts `api`, or needs a `base_url`.
    """
    row = None if name is None or name == AUTO else get_provider(name)
    if api == "dashscope" and name is not None and row is not MODEL_STUDIO:
        raise QwenVLInputError(
            f'provider={name!r} has the OpenAI-compatible API only, not api="dashscope". Use api="openai".'
        )
    if not base_url:
        if row is not None and row is not MODEL_STUDIO:
            example = row.address or "http://localhost:8000/v1"
            raise QwenVLInputError(f'provider={name!r} needs base_url=, for example base_url="{example}".')
        return MODEL_STUDIO
    if api == "dashscope":
        return MODEL_STUDIO
    return row or guess_provider(base_url, model)


def guess_provider(base_url: str, model: str) -> Provider:
    """Guess the provider from a base URL and the name of a model.

    In this order: the host, the path of Model Studio's API (proxies), a name that only Model Studio has (a gateway in
    front of it), the ports of Ollama and LM Studio on the local machine; else any OpenAI-compatible server.
    """
    host, port, path = split_url(base_url)
    if is_vendor_host(host):
        return MODEL_STUDIO
    for provider in PROVIDERS:
        if any(host == suffix or host.endswith(f".{suffix}") for suffix in provider.hosts):
            return provider
    if path.endswith(PATHS["openai"]) or is_vendor_only(model):
        return MODEL_STUDIO
    if _is_loopback(host):
        for provider in PROVIDERS:
            if provider.local_port is not None and provider.local_port == port:
                return provider
    return OPENAI_COMPATIBLE


def split_url(base_url: str) -> tuple[str, int | None, str]:
    """Return host, port and path of a URL; host and path are empty where it is none."""
    try:
        parts = urlsplit(base_url.strip())
        default = {"http": 80, "https": 443}.get(parts.scheme)
        return (parts.hostname or "").rstrip("."), parts.port or default, parts.path.rstrip("/")
    except ValueError:
        return "", None, ""


def is_vendor_host(host: str) -> bool:
    """Return whether a host is one of Model Studio."""
    return _VENDOR_HOST.fullmatch(host) is not None


def is_vendor_only(model: str) -> bool:
    """Return whether a name belongs to a model that only Model Studio serves."""
    facts = describe(model)
    if not facts.known or facts.open_weights or not is_service_name(model):
        return False
    return not facts.assumed or not _COMMERCIAL.isdisjoint(canonicalize(model).split("-"))


def _is_loopback(host: str) -> bool:
    if host == "localhost" or host.endswith(".localhost"):
        return True
    try:
        address = ipaddress.ip_address(host)
    except ValueError:
        return False
    return address.is_loopback or address.is_unspecified


def find_environment_key(name: str | None, *, api: str, base_url: str | None, model: str) -> str | None:
    """Return the key in the environment that may be sent to `base_url`; `None` if there is none.

    The vendor's key goes to the vendor's hosts, to the host of `DASHSCOPE_BASE_URL`, and to where the caller declares
    that Model Studio answers. Every other provider has a variable of its own.

    Args:
        name: The caller's `provider`.
        api: The caller's `api`.
        base_url: The caller's base URL.
        model: Name of the model.
    """
    provider = resolve_provider(name, api=api, base_url=base_url, model=model)
    if provider.key_variable is None:
        return None
    if provider is MODEL_STUDIO and not _is_declared_vendor(name, api, base_url):
        return None
    return os.environ.get(provider.key_variable) or None


def _is_declared_vendor(name: str | None, api: str, base_url: str | None) -> bool:
    if not base_url or api == "dashscope" or name == MODEL_STUDIO.name:
        return True
    host, port, _ = split_url(base_url)
    if is_vendor_host(host):
        return True
    own = os.environ.get("DASHSCOPE_BASE_URL")
    return bool(host) and own is not None and split_url(own)[:2] == (host, port)


def describe_missing_key(provider: Provider, *, name: str | None, base_url: str | None) -> str:
    """Describe what to do where a key is missing."""
    hint = f"Pass api_key= or set the environment variable {provider.key_variable}."
    if provider is MODEL_STUDIO and not _is_declared_vendor(name, "openai", base_url):
        hint = (
            f"{provider.key_variable} is not sent to this host. If Model Studio answers there, pass "
            'provider="model-studio"; else pass api_key=, and the provider= that answers.'
        )
    return hint


def find_vendor_key(base_url: str | None) -> str | None:
    """Return the vendor's key in the environment if it may be sent to `base_url`; `None` for the vendor's hosts."""
    if not _is_declared_vendor(None, "openai", base_url):
        return None
    return os.environ.get("DASHSCOPE_API_KEY") or None


def describe_vendor_key(base_url: str | None) -> str:
    """Describe what to do where the vendor's key is missing."""
    if _is_declared_vendor(None, "openai", base_url):
        return "Pass api_key= or set the environment variable DASHSCOPE_API_KEY."
    return "DASHSCOPE_API_KEY is not sent to this host. Pass api_key=, or set DASHSCOPE_BASE_URL to this base_url."
