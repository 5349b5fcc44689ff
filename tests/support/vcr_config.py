"""Cassettes: recorded once, replayed everywhere, readable in a diff.

A cassette is the HTTP of one scenario (`tests/support/scenarios.py`). vcrpy records it from the emulator or
from the live service, always under the vendor's real URL, so that a live recording replaces the same file. Each says
where it comes from in its first line. Requests are matched on method, URL and JSON body. Inlined media stand in it
by kind and size, descriptions of tools without indentation.
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
from vcr.cassette import Cassette
from vcr.request import Request

from qwenvl_core.media.sniffing import sniff
from tests.support.paths import ROOT

FOLDER = ROOT / "cassettes"
PROVENANCES = ("emulator", "live")
REPLAY_KEY = "sk-replayed"

_HOSTS = {"compatible-mode": "https://dashscope.aliyuncs.com", "api": "https://dashscope.aliyuncs.com"}
_KEPT_HEADERS = ("content-type", "x-request-id", "x-dashscope-partialresponse", "retry-after")
_DATA_URI = re.compile(r"data:([\w.+/-]*);base64,([A-Za-z0-9+/=]{64,})")


def path_of(name: str) -> Path:
    """The file of a cassette."""
    return FOLDER / f"{name}.yaml"


def provenance_of(name: str) -> str:
    """Where a cassette says that it comes from."""
    with path_of(name).open(encoding="utf-8") as lines:
        return str(yaml.safe_load(next(lines))["provenance"])


@contextmanager
def replayed(name: str, *, repeats: bool = False) -> Iterator[Cassette]:
    """Answer every request from a cassette, with a stand-in for a key; what it does not hold is an error.

    Args:
        name: The cassette's.
        repeats: A request may come more than once, and gets the same answer each time.
    """
    recorder = _recorder(_Readable(provenance_of(name)), mode="none")
    with (
        environment(DASHSCOPE_API_KEY=REPLAY_KEY),
        recorder.use_cassette(str(path_of(name)), allow_playback_repeats=repeats) as cassette,
    ):
        yield cassette


@contextmanager
def recorded(path: Path, *, emulator: Any = None, once: bool = False) -> Iterator[None]:
    """Write a cassette while the requests of a scenario run.

    Args:
        path: The file to write.
        emulator: Where the requests go instead of the live service; its address is rewritten to the vendor's.
        once: Of equal requests, keep the first.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    path.unlink(missing_ok=True)
    recorder = _recorder(_Readable("emulator" if emulator else "live", once=once), mode="all")
    given = {} if emulator is None else {"DASHSCOPE_API_KEY": REPLAY_KEY, "DASHSCOPE_BASE_URL": emulator.compat_url}
    with environment(**given), recorder.use_cassette(str(path)):
        yield


@contextmanager
def environment(**given: str) -> Iterator[None]:
    """Only these of the vendor's variables, but for a live key."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith("DASHSCOPE_")}
    live = {name: value for name, value in os.environ.items() if name == "DASHSCOPE_API_KEY" and not given}
    with mock.patch.dict(os.environ, {**kept, **live, **given}, clear=True):
        yield


def _recorder(serializer: _Readable, mode: str) -> vcr.VCR:
    recorder = vcr.VCR(
        record_mode=mode,
        serializer="readable",
        match_on=["method", "uri", "json body"],
        before_record_request=_public_request,
        before_record_response=_public_response,
        decode_compressed_response=True,
    )
    recorder.register_serializer("readable", serializer)
    recorder.register_matcher("json body", lambda one, other: _require(_json(one) == _json(other)))
    return recorder


def _require(same: bool) -> None:
    assert same


def _json(request: Request) -> Any:
    body = request.body
    text = body.decode() if isinstance(body, bytes) else body or "null"
    return _settled(json.loads(text))


def _settled(value: Any, key: str = "") -> Any:
    """The same JSON without what differs from one machine to the next.

    Each inlined medium is replaced by its kind and size; descriptions, which come from docstrings, lose the indentation
    that Python has removed since 3.13.
    """
    if isinstance(value, str):
        text = "\n".join(line.strip() for line in value.splitlines()) if key == "description" else value
        return _DATA_URI.sub(_named, text)
    if isinstance(value, list):
        return [_settled(item) for item in value]
    if isinstance(value, Mapping):
        return {key: _settled(item, key) for key, item in value.items()}
    return value


def _named(uri: re.Match[str]) -> str:
    """A medium's kind and size. Not its bytes: what a library encodes differs from one of its versions to the next."""
    seen = sniff(base64.b64decode(uri[2]))
    return f"data:{uri[1]};{seen.width}x{seen.height}"


def _public_request(request: Request) -> Request:
    """No key, no client's details; the vendor's address instead of the emulator's."""
    request.headers = {"Content-Type": "application/json"}
    place = re.match(r"https?://127\.0\.0\.1:\d+(/([\w-]+)/.*)", request.uri)
    if place:
        request.uri = _HOSTS[place[2]] + place[1]
    return request


def _public_response(response: dict[str, Any]) -> dict[str, Any]:
    headers = {name.lower(): value for name, value in response["headers"].items()}
    return {**response, "headers": {name: headers[name] for name in _KEPT_HEADERS if name in headers}}


class _Readable:
    """Writes cassettes as YAML that a reviewer can read: bodies as parsed JSON, streams as lines."""

    def __init__(self, provenance: str, *, once: bool = False) -> None:
        self._provenance = provenance
        self._once = once

    def serialize(self, cassette: dict[str, Any]) -> str:
        interactions = [
            {
                "request": {
                    **item["request"],
                    "body": _settled(json.loads(item["request"]["body"] or "null")),
                },
                "response": {
                    "status": item["response"]["status"],
                    "headers": item["response"]["headers"],
                    "body": _parsed(item["response"]["body"]["string"]),
                },
            }
            for item in cassette["interactions"]
        ]
        if self._once:
            interactions = _first_of_equals(interactions)
        document = {"provenance": self._provenance, "version": cassette["version"], "interactions": interactions}
        return yaml.dump(document, Dumper=_Dumper, sort_keys=False, allow_unicode=True, width=120)

    def deserialize(self, text: str) -> dict[str, Any]:
        document = yaml.load(text, _Loader)
        for item in document["interactions"]:
            item["request"]["body"] = json.dumps(item["request"]["body"])
            body = item["response"]["body"]
            item["response"]["body"] = {"string": body if isinstance(body, str) else json.dumps(body)}
        return {"version": document["version"], "interactions": document["interactions"]}


def _first_of_equals(interactions: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """The interactions in their order, without those whose request came before."""
    found: dict[str, dict[str, Any]] = {}
    for item in interactions:
        found.setdefault(json.dumps(item["request"], sort_keys=True), item)
    return list(found.values())


def _parsed(body: str) -> Any:
    try:
        return json.loads(body)
    except ValueError:
        return body


_Loader: Any = getattr(yaml, "CSafeLoader", yaml.SafeLoader)  # the same in C, where PyYAML was built with it


class _Dumper(yaml.SafeDumper):
    """Streams of events line by line, as they were sent."""


def _as_lines(dumper: yaml.SafeDumper, text: str) -> yaml.Node:
    return dumper.represent_scalar("tag:yaml.org,2002:str", text, style="|" if "\n" in text else None)


_Dumper.add_representer(str, _as_lines)
