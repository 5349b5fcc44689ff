"""Resolve regions, workspaces and base URLs to endpoints."""

from __future__ import annotations

from typing import Any

import pytest

from qwenvl_core.catalog.endpoints import REGIONS, derive_endpoint, resolve_endpoint
from qwenvl_core.errors import QwenVLInputError
from qwenvl_core.transport.connection import Connection

HOSTS = {
    "cn-beijing": "dashscope.aliyuncs.com",
    "ap-southeast-1": "dashscope-intl.aliyuncs.com",
    "us-east-1": "dashscope-us.aliyuncs.com",
    "cn-hongkong": "cn-hongkong.dashscope.aliyuncs.com",
}
ALIASES = {
    "beijing": "cn-beijing",
    "singapore": "ap-southeast-1",
    "us": "us-east-1",
    "US": "us-east-1",
    " Beijing ": "cn-beijing",
}
PATHS = {"openai": "/compatible-mode/v1", "dashscope": "/api/v1"}
per_api = pytest.mark.parametrize("api", PATHS)


@per_api
@pytest.mark.parametrize("region", [*HOSTS, *ALIASES])
def test_region_selects_public_host(api: str, region: str) -> None:
    assert resolve_endpoint(api, region=region) == f"https://{HOSTS[ALIASES.get(region, region)]}{PATHS[api]}"


@per_api
@pytest.mark.parametrize("region", ["eu-central-1", "ap-northeast-1"])
def test_region_without_public_host_requires_workspace(api: str, region: str) -> None:
    with pytest.raises(QwenVLInputError, match="workspace"):
        resolve_endpoint(api, region=region)
    assert (
        resolve_endpoint(api, region=region, workspace="ws-1") == f"https://ws-1.{region}.maas.aliyuncs.com{PATHS[api]}"
    )


@per_api
def test_workspace_selects_gateway_in_every_region(api: str) -> None:
    for region in REGIONS:
        url = resolve_endpoint(api, region=region.id, workspace="llm-Abc123")
        assert url == f"https://llm-Abc123.{region.id}.maas.aliyuncs.com{PATHS[api]}"


@per_api
@pytest.mark.parametrize("workspace", ["a.b", "a/b", "a b", "evil.com/", "a@b", "ä", "a\n", "-x?"])
def test_invalid_workspace_raises_input_error(api: str, workspace: str) -> None:
    with pytest.raises(QwenVLInputError, match="workspace"):
        resolve_endpoint(api, region="cn-beijing", workspace=workspace)


@per_api
@pytest.mark.parametrize(
    "base_url",
    [
        "https://example.com/v1",
        "http://127.0.0.1:8000/v1/",
        "https://coding-intl.dashscope.aliyuncs.com/v1",
        "http://[::1]:8000",
    ],
)
def test_base_url_overrides_region_and_workspace(api: str, base_url: str) -> None:
    assert resolve_endpoint(api, region="nowhere", workspace="!", base_url=base_url) == base_url.rstrip("/")
    assert resolve_endpoint(api, region="nowhere", base_url=f" {base_url}\n") == base_url.rstrip("/")


@per_api
@pytest.mark.parametrize("path", PATHS.values())
@pytest.mark.parametrize("prefix", ["https://example.com", "http://127.0.0.1:8000/proxy", "https://a.aliyuncs.com"])
def test_base_url_of_either_api_gives_endpoint_of_the_requested_one(api: str, path: str, prefix: str) -> None:
    assert resolve_endpoint(api, region="us", base_url=f"{prefix}{path}/") == prefix + PATHS[api]
    assert derive_endpoint(prefix + path, api) == prefix + PATHS[api]
    assert derive_endpoint(prefix, api) == prefix + PATHS[api]


@per_api
def test_base_url_of_vendor_host_without_path_gives_endpoint(api: str) -> None:
    host = "https://dashscope-intl.aliyuncs.com"
    assert resolve_endpoint(api, region="us", base_url=f"{host}/") == host + PATHS[api]


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        ({"api": "rest", "region": "us"}, "api"),
        ({"api": "openai", "region": "mars"}, "cn-beijing"),
        ({"api": "openai", "region": ""}, "region"),
        ({"api": "openai", "region": "us", "base_url": "example.com/v1"}, "http"),
        ({"api": "openai", "region": "us", "base_url": "ftp://example.com/v1"}, "http"),
        ({"api": "openai", "region": "us", "base_url": "https://"}, "http"),
        ({"api": "openai", "region": "us", "base_url": "http://[::1/v1"}, "base_url"),
        ({"api": "openai", "region": "us", "base_url": "http://a:b/v1"}, "base_url"),
        ({"api": "openai", "region": "us", "base_url": "http://a..b/v1"}, "base_url"),
        ({"api": "openai", "region": "us", "base_url": f"http://{64 * 'a'}.com/v1"}, "base_url"),
    ],
)
def test_invalid_endpoint_raises_input_error(arguments: dict[str, Any], words: str) -> None:
    with pytest.raises(QwenVLInputError, match=words):
        resolve_endpoint(**arguments)


@pytest.mark.parametrize(
    ("timeout", "chunk", "read"),
    [(300.0, 120.0, 120.0), (10.0, 120.0, 10.0), (None, 5.0, 5.0), (5.0, None, 5.0), (None, None, None)],
)
def test_connection_read_timeout_is_shorter_limit(timeout: Any, chunk: Any, read: Any) -> None:
    connection = Connection(api="openai", base_url="u", api_key="k", timeout=timeout, stream_chunk_timeout=chunk)
    assert connection.read_timeout == read


def test_connection_repr_omits_secrets() -> None:
    connection = Connection(
        api="openai", base_url="https://a/v1", api_key="sk-secret", default_headers={"X-A": "sk-too"}
    )
    assert "sk-" not in repr(connection)
    assert "sk-" not in str(connection)
    assert connection.headers["X-A"] == "sk-too"
    assert connection.headers["User-Agent"].startswith("qwenvl-adapters/")
    renamed = Connection(api="openai", base_url="u", api_key="k", default_headers={"user-agent": "me"})
    assert renamed.headers == {"User-Agent": "me"}
