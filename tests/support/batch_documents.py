"""Drive the batches of loaders and readers in the same way, and count what the emulator was paid for."""

from __future__ import annotations

import json
from collections import Counter
from pathlib import Path
from typing import Any

from langchain_qwenvl import ChatQwenVL, QwenVLLoader
from llama_index_qwenvl import QwenVL, QwenVLReader
from tests.emulator import Emulator
from tests.support.model_factories import KEY


class LangChainDocuments:
    """The batches of a `QwenVLLoader`."""

    def __init__(self, url: str, file: Path, **options: Any) -> None:
        self.llm = ChatQwenVL(base_url=url, api_key=KEY, enable_thinking=False)
        self.loader = QwenVLLoader(file, llm=self.llm, **options)
        self.cache = Path(options.get("cache_dir", ""))
        self.submit = self.loader.submit_batch
        self.asubmit = self.loader.asubmit_batch
        self.collect = self.loader.collect_batch
        self.acollect = self.loader.acollect_batch

    def load(self) -> list[str]:
        return [document.page_content for document in self.loader.load()]

    def list_metadata(self) -> list[dict[str, Any]]:
        return [document.metadata for document in self.loader.load()]


class LlamaIndexDocuments:
    """The batches of a `QwenVLReader`."""

    def __init__(self, url: str, file: Path, **options: Any) -> None:
        self.llm = QwenVL(base_url=url, api_key=KEY, enable_thinking=False)
        self.loader, self.file = QwenVLReader(llm=self.llm, **options), file
        self.cache = Path(options.get("cache_dir", ""))
        self.collect = self.loader.collect_batch
        self.acollect = self.loader.acollect_batch

    def submit(self) -> Any:
        return self.loader.submit_batch(self.file)

    async def asubmit(self) -> Any:
        return await self.loader.asubmit_batch(self.file)

    def load(self) -> list[str]:
        return [document.text for document in self.loader.load_data(self.file)]

    def list_metadata(self) -> list[dict[str, Any]]:
        return [document.metadata for document in self.loader.load_data(self.file)]


Documents = LangChainDocuments | LlamaIndexDocuments
FRAMEWORKS: tuple[type[Documents], ...] = (LangChainDocuments, LlamaIndexDocuments)


def count_paid_pages(emulator: Emulator) -> Counter[str]:
    """Return how often each page was paid for: once for each batch whose input file has it."""
    inputs = [emulator.batch_store.files[batch.input_file_id] for batch in emulator.batch_store.batches.values()]
    return Counter(json.loads(line)["custom_id"] for content in inputs for line in content.splitlines())


def count_chats(emulator: Emulator) -> int:
    """Return how many pages were requested one by one."""
    return sum(request.route.endswith("/chat/completions") for request in emulator.requests)
