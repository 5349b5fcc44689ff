"""Define page transcriptions and their token usage, and cache them on disk."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, fields
from pathlib import Path
from typing import Any, Protocol

from qwenvl_core.documents.whole_files import write_file
from qwenvl_core.rendering.pages import PageImage
from qwenvl_core.types.settings import ModelSettings

_COUNTS = ("input_tokens", "output_tokens", "total_tokens", "reasoning_tokens", "image_tokens")
_DEFAULTS = ModelSettings()
# Names that settings have in cache keys. A renamed setting keeps its old name here, so that caches on disk stay valid.
_NOT_IN_KEY = frozenset(("service_tier",))  # what a page costs does not change its transcription
_KEY_NAMES = {"thinking_source": "thinking_set_by"}


@dataclass(frozen=True, slots=True)
class PageTranscription:
    """A model's transcription of a page. The field names are the keys of the cache's files.

    Attributes:
        text: The model's text, unchanged.
        finish_reason: Why the model stopped: `"stop"`, `"length"`, ….
        model: Name of the model, as the server reports it.
        usage: Token counts: `input_tokens`, `output_tokens`, `total_tokens`, `reasoning_tokens`, `image_tokens`.
        ocr_result: What an OCR task located on the page, else `None`.
        image_reduced: Whether the page's image was reduced to fit a batch; `None` if not.
    """

    text: str
    finish_reason: str = ""
    model: str = ""
    usage: Mapping[str, int] = field(default_factory=dict)
    ocr_result: Mapping[str, Any] | None = None
    image_reduced: bool | None = None


class Transcriber(Protocol):
    """A model that transcribes pages; see `qwenvl_core.documents.chat_transcriber`.

    Attributes:
        settings: The settings of its requests.
    """

    settings: ModelSettings

    def transcribe(self, page: PageImage, prompt: str) -> PageTranscription:
        """Transcribe a page."""

    async def atranscribe(self, page: PageImage, prompt: str) -> PageTranscription:
        """Transcribe a page asynchronously; see `transcribe`."""


class UsageTotals(dict[str, int]):
    """Total usage of a document's pages, as keys and as attributes.

    Contains the token counts of `PageTranscription.usage`, the number of transcribed `pages`, and how many of them are
    `cached_pages`. The tokens of cached pages are included, although they were billed earlier.
    """

    def __init__(self) -> None:
        super().__init__(dict.fromkeys((*_COUNTS, "pages", "cached_pages"), 0))

    def __getattr__(self, name: str) -> int:
        try:
            return self[name]
        except KeyError:
            raise AttributeError(name) from None

    def add(self, usage: Mapping[str, int], *, is_cached: bool) -> None:
        """Add the usage of one page.

        Args:
            usage: Its token counts.
            is_cached: Whether its transcription came from the cache.
        """
        for name in _COUNTS:
            self[name] += usage.get(name, 0)
        self["pages"] += 1
        self["cached_pages"] += is_cached


def compute_cache_key(page: PageImage, prompt: str, settings: ModelSettings) -> str:
    """Compute the cache key of a page from its image, the prompt, and all settings of the request.

    Keys must not change between versions: a page under another key is requested and billed again.
    """
    changed_settings = {
        _KEY_NAMES.get(item.name, item.name): getattr(settings, item.name)
        for item in fields(settings)
        if item.name not in _NOT_IN_KEY and getattr(settings, item.name) != getattr(_DEFAULTS, item.name)
    }
    image = hashlib.sha256(page.jpeg).hexdigest()
    request = {"image": image, "prompt": prompt, **changed_settings, "model": settings.model}
    return hashlib.sha256(json.dumps(request, sort_keys=True, default=repr).encode()).hexdigest()


class PageCache:
    """Page transcriptions as JSON files in a folder; without a folder, nothing is stored.

    Processes may share a folder, because files are replaced atomically.
    """

    def __init__(self, folder: str | Path | None) -> None:
        self._folder = None if folder is None else Path(folder).expanduser()

    def get(self, key: str) -> PageTranscription | None:
        """Return the transcription under a key; `None` if there is none, or its file can't be read."""
        if self._folder is None:
            return None
        try:
            stored: Any = json.loads(self._get_path(self._folder, key).read_text(encoding="utf-8"))
            return PageTranscription(**stored)
        except (OSError, ValueError, TypeError):
            return None

    def put(self, key: str, transcription: PageTranscription) -> None:
        """Store a transcription.

        Raises:
            OSError: The folder can't be written.
        """
        if self._folder is None:
            return
        self._folder.mkdir(parents=True, exist_ok=True)
        values = {name: value for name, value in asdict(transcription).items() if value is not None}
        write_file(self._get_path(self._folder, key), json.dumps(values).encode())

    @staticmethod
    def _get_path(folder: Path, key: str) -> Path:
        return folder / f"{key}.json"
