"""Where the service lives: regions, workspace gateways, and which path each API has there.

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
    """One region: the vendor's id, other names for it, and its public host (`None`: workspace gateway only)."""

    id: str
    aliases: tuple[str, ...]
    host: str | None


REGIONS = (
    Region("cn-beijing", ("beijing", "cn", "china"), "dashscope.aliyuncs.com"),
    Region("ap-southeast-1", ("singapore", "intl", "international"), "dashscope-intl.aliyuncs.com"),
    Region("us-east-1", ("us", "virginia", "us-virginia"), "dashscope-us.aliyuncs.com"),
    Region("cn-hongkong", ("hongkong", "hong-kong", "hk"), "cn-hongkong.dashscope.aliyuncs.com"),
    Region("eu-central-1", ("eu", "germany", "frankfurt"), None),
    Region("ap-northeast-1", ("japan", "tokyo"), None),
)
_BY_NAME = {name: region for region in REGIONS for name in (region.id, *region.aliases)}


def endpoint(api: str, *, region: str, workspace: str | None = None, base_url: str | None = None) -> str:
    """The base URL to send requests to, without a trailing slash.

    Args:
        api: `"openai"` or `"dashscope"`.
        region: A vendor's region id or an alias; case ignored.
        workspace: A workspace id; selects its gateway in the region.
        base_url: Overrides both.

    Raises:
        QwenVLInputError: An unknown API or region, a region that needs a workspace, or a base URL of the other API.
    """
    if api not in PATHS:
        raise QwenVLInputError(f'api must be "openai" or "dashscope", not {api!r}.')
    if base_url:
        return _checked(api, base_url.strip().rstrip("/"))
    row = _BY_NAME.get(region.strip().lower())
    if row is None:
        known = ", ".join(region.id for region in REGIONS)
        raise QwenVLInputError(f"Unknown region {region!r}; the service has {known}.")
    if workspace:
        if not re.fullmatch(r"[A-Za-z0-9-]+", workspace):
            raise QwenVLInputError(f"workspace must be an id of letters, digits and hyphens, not {workspace!r}.")
        return f"https://{workspace}.{row.id}.maas.aliyuncs.com{PATHS[api]}"
    if row.host is None:
        raise QwenVLInputError(f"Region {row.id} is reached through a workspace only: pass workspace= as well.")
    return f"https://{row.host}{PATHS[api]}"


def _checked(api: str, base_url: str) -> str:
    try:
        parts = urlsplit(base_url)
        host = (parts.hostname or "").encode("idna")
        usable = parts.scheme in ("http", "https") and bool(host) and parts.port != 0
    except ValueError:  # brackets that do not match, a port that is no number, an empty or too long part of a name
        usable = False
    if not usable:
        raise QwenVLInputError(f"base_url must be an http(s) URL, not {base_url!r}.")
    other = "dashscope" if api == "openai" else "openai"
    if parts.path.endswith(PATHS[other]):
        raise QwenVLInputError(
            f'base_url {base_url!r} is that of api="{other}"; for api="{api}" it ends in {PATHS[api]}.'
        )
    return base_url
