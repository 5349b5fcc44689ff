"""Define the replies of the emulator for the pages about documents, retrieval and batches."""

from __future__ import annotations

from tests.support.docs_pages import Page

PAGES: tuple[Page, ...] = ()
