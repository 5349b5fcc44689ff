"""Map regions, workspaces and base URLs to the endpoints of both APIs.

Sources: the vendor's pages "Visual understanding (Qwen-VL)" and "Visual reasoning" (hosts of Beijing, Singapore, US),
the dashscope SDK (Hong Kong, workspace gateways).
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Literal
from urllib.parse import urlsplit

from qwenvl_core.errors import QwenVLInputError

Api = Literal["openai", "dashscope"]

PATHS: dict[str, str] = {"openai": "/compatible-mode/v1", "dashscope": "/api/v1"}


@dataclass(frozen=True, slots=True)
class Region:
    """One region of the service.

    Attributes:
        id: The vendor's id.
        aliases: Other accepted names.
        host: The public host; `None` if the region has workspace gateways only.
        has_storage: Whether it has the temporary storage for uploads. Source: the vendor's page "Upload local files to
            get temporary URLs".
        batch_host: The host of Batch Chat; `None` where there is none. Source: the vendor's page "Batch Chat".
    """

    id: str
    aliases: tuple[str, ...]
    host: str | None
    has_storage: bool = False
    batch_host: str | None = None


REGIONS = (
    Region(
        "cn-beijing",
        ("beijing", "cn", "china"),
        "dashscope.aliyuncs.com",
        has_storage=True,
        batch_host="batch.dashscope.aliyuncs.com",
    ),
    Region("ap-southeast-1", ("singapore", "intl", "international"), "dashscope-intl.aliyuncs.com", has_storage=True),
    Region("us-east-1", ("us", "virginia", "us-virginia"), "dashscope-us.aliyuncs.com"),
    Region("cn-hongkong", ("hongkong", "hong-kong", "hk"), "cn-hongkong.dashscope.aliyuncs.com"),
    Region("eu-central-1", ("eu", "germany", "frankfurt"), None),
    Region("ap-northeast-1", ("japan", "tokyo"), None),
)
_BY_NAME = {name: region for region in REGIONS for name in (region.id, *region.aliases)}
STORAGE_REGIONS = tuple(region.id for region in REGIONS if region.has_storage)
"""Ids of the regions with temporary storage."""
BATCH_REGIONS = tuple(region.id for region in REGIONS if region.batch_host)
"""Ids of the regions with Batch Chat."""


def resolve_endpoint(
    api: str,
    *,
    region: str,
    workspace: str | None = None,
    base_url: str | None = None,
    is_model_studio: bool = True,
) -> str:
    """Return the base URL for requests, without a trailing slash.

    Args:
        api: `"openai"` or `"dashscope"`.
        region: The vendor's region id or an alias; case is ignored.
        workspace: A workspace id; it selects the workspace gateway in the region.
        base_url: Overrides both `region` and `workspace`. An endpoint of the other API, or one of the vendor's hosts
            without a path, gives the endpoint of `api` there; any other URL is used as it is.
        is_model_studio: Whether Model Studio answers at `base_url`; the paths of other servers have other meanings.

    Raises:
        QwenVLInputError: The API, the region, the workspace or the base URL is invalid, or the region needs a
            workspace.
    """
    if api not in PATHS:
        raise QwenVLInputError(f'Unknown api: {api!r}. Use "openai" or "dashscope".')
    if base_url:
        base_url = _validate_base_url(base_url.strip().rstrip("/"))
        return derive_endpoint(base_url, api) if is_model_studio and _is_endpoint(base_url) else base_url
    row = find_region(region)
    if row is None:
        known = ", ".join(region.id for region in REGIONS)
        raise QwenVLInputError(f"Unknown region: {region!r}. Known regions: {known}.")
    if workspace:
        if not re.fullmatch(r"[A-Za-z0-9-]+", workspace):
            raise QwenVLInputError(
                f"Invalid workspace: {workspace!r}. A workspace id holds letters, digits and hyphens only."
            )
        return f"https://{workspace}.{row.id}.maas.aliyuncs.com{PATHS[api]}"
    if row.host is None:
        raise QwenVLInputError(
            f"Missing workspace for region {row.id}. It has workspace gateways only: pass workspace= too."
        )
    return f"https://{row.host}{PATHS[api]}"


def find_region(name: str) -> Region | None:
    """Return the region with this id or alias; case is ignored."""
    return _BY_NAME.get(name.strip().lower())


def find_batch_url(region: str, base_url: str | None) -> str | None:
    """Return the endpoint of Batch Chat: `base_url` where the caller passes one, else that of the region, if any."""
    if base_url:
        return base_url
    row = find_region(region)
    return f"https://{row.batch_host}{PATHS['openai']}" if row and row.batch_host else None


def derive_endpoint(base_url: str, api: str) -> str:
    """Return where `api` answers in the deployment that `base_url` belongs to.

    The endpoints of one deployment share a prefix. `base_url` is an endpoint of either API or that prefix, without a
    trailing slash.
    """
    for path in PATHS.values():
        base_url = base_url.removesuffix(path)
    return base_url + PATHS[api]


def find_storage_url(api: str, base_url: str) -> str | None:
    """Return the endpoint of Model Studio that grants uploads to the vendor's temporary storage.

    Args:
        api: The API that answers at `base_url`.
        base_url: The base URL of requests, as `resolve_endpoint` returns it.

    Returns:
        The native endpoint of the same deployment; `None` in a region without the storage, and where the base URL is
        not spelled like Model Studio's, so that its native endpoint is unknown.
    """
    parts = urlsplit(base_url)
    region = _find_region_of_host(parts.hostname or "")
    if region is not None and not region.has_storage:
        return None
    if api == "dashscope":
        return base_url
    return derive_endpoint(base_url, "dashscope") if not parts.path or _is_endpoint(base_url) else None


def _find_region_of_host(host: str) -> Region | None:
    """Return the region of one of the vendor's hosts."""
    for region in REGIONS:
        if host == region.host or host.endswith(f".{region.id}.maas.aliyuncs.com"):
            return region
    return None


def _is_endpoint(base_url: str) -> bool:
    """Return whether a base URL is spelled like an endpoint of either API, or is a host of the vendor."""
    parts = urlsplit(base_url)
    is_bare_host = not parts.path and (parts.hostname or "").endswith(".aliyuncs.com")
    return is_bare_host or base_url.endswith(tuple(PATHS.values()))


def _validate_base_url(base_url: str) -> str:
    try:
        parts = urlsplit(base_url)
        host = (parts.hostname or "").encode("idna")
        is_valid = parts.scheme in ("http", "https") and bool(host) and parts.port != 0
    except ValueError:  # unbalanced brackets, a port that is not a number, an empty or too long label of the host
        is_valid = False
    if not is_valid:
        raise QwenVLInputError(f"Invalid base_url: {base_url!r}. Pass an http(s) URL.")
    if "?" in base_url or "#" in base_url:
        raise QwenVLInputError(
            f"Invalid base_url: {base_url!r}. Paths are appended to it, so it must have no query (?) and no "
            "fragment (#). Pass the URL up to the API's path, such as http://localhost:8000/v1, and parameters of the "
            "query as extra_query= of a call."
        )
    return base_url
