"""What a model says of a page, what it cost, and where answers are kept so that nothing is asked twice."""

from __future__ import annotations

import hashlib
import json
import uuid
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, fields
from pathlib import Path
from typing import Any, Protocol

from qwenvl_core.rendering.pages import PageImage
from qwenvl_core.types.settings import ModelSettings

_COUNTS = ("input_tokens", "output_tokens", "total_tokens", "reasoning_tokens", "image_tokens")
_DEFAULTS = ModelSettings()
# Names that settings have in cache keys. A renamed setting keeps its old name here, so that caches on disk stay valid.
_KEY_NAMES = {"thinking_source": "thinking_set_by"}


@dataclass(frozen=True, slots=True)
class PageTranscription:
    """What a model said of a page.

    Attributes:
        text: Its words, as they are.
        finish_reason: Why it stopped: `"stop"`, `"length"`, ….
        model: The model that answered, by the server's word.
        usage: Its tokens: `input_tokens`, `output_tokens`, `total_tokens`, `reasoning_tokens`, `image_tokens`.
    """

    text: str
    finish_reason: str = ""
    model: str = ""
    usage: Mapping[str, int] = field(default_factory=dict)


class Transcriber(Protocol):
    """A model that reads pages. The adapters make one of the model that the loader is given.

    Attributes:
        settings: What shapes its requests.
    """

    settings: ModelSettings

    def transcribe(self, page: PageImage, question: str) -> PageTranscription:
        """What the model says of a page."""

    async def atranscribe(self, page: PageImage, question: str) -> PageTranscription:
        """As `transcribe`, for async."""


class UsageTotals(dict[str, int]):
    """What the pages of a document cost together, readable by key and as attributes.

    The tokens of `PageTranscription.usage`; `pages` that were answered, and how many of them came from the cache. The
    tokens of cached pages are counted, although they were billed earlier.
    """

    def __init__(self) -> None:
        super().__init__(dict.fromkeys((*_COUNTS, "pages", "cached_pages"), 0))

    def __getattr__(self, name: str) -> int:
        try:
            return self[name]
        except KeyError:
            raise AttributeError(name) from None

    def add(self, usage: Mapping[str, int], *, cached: bool) -> None:
        """Count one page."""
        for name in _COUNTS:
            self[name] += usage.get(name, 0)
        self["pages"] += 1
        self["cached_pages"] += cached


def cache_key(page: PageImage, question: str, settings: ModelSettings) -> str:
    """By what an answer is kept: the page's image, the question, the model and all that shapes the request."""
    shaping = {
        _KEY_NAMES.get(item.name, item.name): getattr(settings, item.name)
        for item in fields(settings)
        if getattr(settings, item.name) != getattr(_DEFAULTS, item.name)
    }
    image = hashlib.sha256(page.jpeg).hexdigest()
    asked = {"image": image, "prompt": question, **shaping, "model": settings.model}
    return hashlib.sha256(json.dumps(asked, sort_keys=True, default=repr).encode()).hexdigest()


class PageCache:
    """Answers as files in a folder; without a folder, nothing is kept.

    Several processes may share it: a file is there as a whole or not at all.
    """

    def __init__(self, folder: str | Path | None) -> None:
        self._folder = None if folder is None else Path(folder).expanduser()

    def get(self, key: str) -> PageTranscription | None:
        """The answer that is kept under `key`. A file that can't be read counts as none."""
        if self._folder is None:
            return None
        try:
            kept: Any = json.loads(self._path(self._folder, key).read_text(encoding="utf-8"))
            return PageTranscription(**kept)
        except (OSError, ValueError, TypeError):
            return None

    def put(self, key: str, answer: PageTranscription) -> None:
        """Keep an answer.

        Raises:
            OSError: The folder can't be written.
        """
        if self._folder is None:
            return
        self._folder.mkdir(parents=True, exist_ok=True)
        unfinished = self._folder / f".{key}.{uuid.uuid4().hex}"
        try:
            unfinished.write_text(json.dumps(asdict(answer), ensure_ascii=False), encoding="utf-8")
            unfinished.replace(self._path(self._folder, key))
        finally:
            unfinished.unlink(missing_ok=True)

    @staticmethod
    def _path(folder: Path, key: str) -> Path:
        return folder / f"{key}.json"
