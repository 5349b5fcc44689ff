"""Record and replay cassettes in a form that is readable in a diff.

A cassette holds the HTTP traffic of one scenario (`tests/support/scenarios.py`). vcrpy records it from the emulator or
from the live service, always under the vendor's real URL, so that a live recording replaces the same file. The first
line of a cassette states its provenance. Requests are matched on method, URL and JSON body. Inline media are stored as
media type and size, uploads as the names of their form's fields, tool descriptions without indentation.
"""

from __future__ import annotations

import base64
import json
import os
import re
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from unittest import mock

import vcr
import yaml

from qwenvl_core.media.sniffing import sniff
from tests.support.paths import ROOT

FOLDER = ROOT / "cassettes"
PROVENANCES = ("emulator", "live")
REPLAY_KEY = "sk-replayed"

_HOSTS = {"compatible-mode": "https://dashscope.aliyuncs.com", "api": "https://dashscope.aliyuncs.com"}
_BATCH_HOST = "https://batch.dashscope.aliyuncs.com"  # of Batch Chat; the emulator has one address for all
_KEPT_HEADERS = ("content-type", "x-request-id", "x-dashscope-partialresponse", "retry-after")
_STORAGE = "https://dashscope-file-mgr.oss-cn-beijing.aliyuncs.com"  # where the emulator's policy has its own address
_EMULATED_STORAGE = re.compile(r"http://127\.0\.0\.1:\d+/oss")
_FORM_FIELD = re.compile(r'Content-Disposition: form-data; name="([^"]*)"', re.IGNORECASE)
_DATA_URI = re.compile(r"data:([\w.+/-]*);base64,([A-Za-z0-9+/=]{64,})")


def path_of(name: str) -> Path:
    """Return the file of a cassette."""
    return FOLDER / f"{name}.yaml"


def provenance_of(name: str) -> str:
    """Return the provenance that a cassette states."""
    with path_of(name).open(encoding="utf-8") as lines:
        return str(yaml.safe_load(next(lines))["provenance"])


@contextmanager
def replayed(name: str, *, repeats: bool = False) -> Iterator[vcr.cassette.Cassette]:
    """Answer every request from a cassette, with a placeholder for the key; a request that it lacks is an error.

    Args:
        name: Name of the cassette.
        repeats: Whether a request may come more than once, with the same response each time.
    """
    recorder = _recorder(_ReadableSerializer(provenance_of(name)), mode="none")
    with (
        environment(DASHSCOPE_API_KEY=REPLAY_KEY),
        recorder.use_cassette(str(path_of(name)), allow_playback_repeats=repeats) as cassette,
    ):
        yield cassette


@contextmanager
def recorded(path: Path, *, emulator: Any = None, once: bool = False) -> Iterator[None]:
    """Write a cassette from the requests of the block.

    Args:
        path: The file to write.
        emulator: Server to use instead of the live service; its address is replaced by the vendor's.
        once: Whether to keep only the first of equal requests.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    path.unlink(missing_ok=True)
    recorder = _recorder(_ReadableSerializer("emulator" if emulator else "live", once=once), mode="all")
    variables = {} if emulator is None else {"DASHSCOPE_API_KEY": REPLAY_KEY, "DASHSCOPE_BASE_URL": emulator.compat_url}
    with environment(**variables), recorder.use_cassette(str(path)):
        yield


@contextmanager
def environment(**variables: str) -> Iterator[None]:
    """Set the vendor's environment variables to these only; without any, keep the key for a live recording."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith("DASHSCOPE_")}
    live = {name: value for name, value in os.environ.items() if name == "DASHSCOPE_API_KEY" and not variables}
    with mock.patch.dict(os.environ, {**kept, **live, **variables}, clear=True):
        yield


def _recorder(serializer: _ReadableSerializer, mode: str) -> vcr.VCR:
    recorder = vcr.VCR(
        record_mode=mode,
        serializer="readable",
        match_on=["method", "uri", "json body"],
        before_record_request=_clean_request,
        before_record_response=_clean_response,
        decode_compressed_response=True,
    )
    recorder.register_serializer("readable", serializer)
    recorder.register_matcher("json body", lambda first, second: _require(_parse_body(first) == _parse_body(second)))
    return recorder


def _require(same: bool) -> None:
    assert same


def _parse_body(request: vcr.request.Request) -> Any:
    return _parse_text(request.body)


def _parse_text(body: Any) -> Any:
    """Parse a request's body: JSON, or a multipart form, whose boundary is random."""
    text = (body.decode(errors="ignore") if isinstance(body, bytes) else body) or "null"
    fields = _FORM_FIELD.findall(text) if text.startswith("--") else None
    return _normalize(json.loads(text)) if fields is None else {"form": fields}


def _normalize(value: Any, key: str = "") -> Any:
    """Normalize JSON so that it is the same on every machine.

    Inline media are replaced by media type and size. Descriptions, which come from docstrings, lose the indentation
    that Python removes since 3.13.
    """
    if isinstance(value, str):
        text = "\n".join(line.strip() for line in value.splitlines()) if key == "description" else value
        return _DATA_URI.sub(_describe_media, text)
    if isinstance(value, list):
        return [_normalize(item) for item in value]
    if isinstance(value, Mapping):
        return {key: _normalize(item, key) for key, item in value.items()}
    return value


def _describe_media(uri: re.Match[str]) -> str:
    """Describe inline media by type and size, because encoded bytes differ between versions of an image library."""
    info = sniff(base64.b64decode(uri[2]))
    return f"data:{uri[1]};{info.width}x{info.height}"


def _clean_request(request: vcr.request.Request) -> vcr.request.Request:
    """Remove the key and the client's headers, and replace the emulator's address by the vendor's."""
    request.headers = {"Content-Type": "application/json"}
    if _EMULATED_STORAGE.match(request.uri):
        request.uri = _STORAGE
    match = re.match(r"https?://127\.0\.0\.1:\d+(/([\w-]+)/.*)", request.uri)
    if match:
        request.uri = _HOSTS[match[2]] + match[1]
    request.uri = request.uri.replace(_BATCH_HOST, _HOSTS["compatible-mode"])
    return request


def _clean_response(response: dict[str, Any]) -> dict[str, Any]:
    """Keep only the headers that the adapters read."""
    headers = {name.lower(): value for name, value in response["headers"].items()}
    return {**response, "headers": {name: headers[name] for name in _KEPT_HEADERS if name in headers}}


class _ReadableSerializer:
    """Serialize cassettes as readable YAML: bodies as parsed JSON, streams as lines."""

    def __init__(self, provenance: str, *, once: bool = False) -> None:
        self._provenance = provenance
        self._once = once

    def serialize(self, cassette: dict[str, Any]) -> str:
        interactions = [
            {
                "request": {
                    **item["request"],
                    "body": _parse_text(item["request"]["body"]),
                },
                "response": {
                    "status": item["response"]["status"],
                    "headers": item["response"]["headers"],
                    "body": _parse_if_json(_EMULATED_STORAGE.sub(_STORAGE, item["response"]["body"]["string"])),
                },
            }
            for item in cassette["interactions"]
        ]
        if self._once:
            interactions = _drop_repeated(interactions)
        document = {"provenance": self._provenance, "version": cassette["version"], "interactions": interactions}
        return yaml.dump(document, Dumper=_Dumper, sort_keys=False, allow_unicode=True, width=120)

    def deserialize(self, text: str) -> dict[str, Any]:
        document = yaml.load(text, _Loader)
        for item in document["interactions"]:
            item["request"]["body"] = json.dumps(item["request"]["body"])
            body = item["response"]["body"]
            item["response"]["body"] = {"string": body if isinstance(body, str) else json.dumps(body)}
        return {"version": document["version"], "interactions": document["interactions"]}


def _drop_repeated(interactions: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Return the interactions in order, without those that repeat an earlier request."""
    unique: dict[str, dict[str, Any]] = {}
    for item in interactions:
        unique.setdefault(json.dumps(item["request"], sort_keys=True), item)
    return list(unique.values())


def _parse_if_json(body: str) -> Any:
    try:
        return json.loads(body)
    except ValueError:
        return body


_Loader: Any = getattr(yaml, "CSafeLoader", yaml.SafeLoader)  # the faster loader, if PyYAML was built with libyaml


class _Dumper(yaml.SafeDumper):
    """Dumper that writes event streams line by line."""


def _represent_text(dumper: yaml.SafeDumper, text: str) -> yaml.Node:
    return dumper.represent_scalar("tag:yaml.org,2002:str", text, style="|" if "\n" in text else None)


def _represent_list(dumper: yaml.SafeDumper, values: list[Any]) -> yaml.Node:
    """Write vectors in lines, and other lists item by item."""
    is_vector = bool(values) and all(isinstance(value, float) for value in values)
    return dumper.represent_sequence("tag:yaml.org,2002:seq", values, flow_style=is_vector or None)


_Dumper.add_representer(str, _represent_text)
_Dumper.add_representer(list, _represent_list)
