"""Render the documentation pages that come from data: rows of the catalog, errors, quirks of the wire.

`python -m tests.support.rendered_pages` writes them; a test compares each page with its rendering.
"""

from __future__ import annotations

from collections.abc import Callable

from tests.support.rendered_pages import errors, models, providers, wire_quirks

PAGES: dict[str, Callable[[], str]] = {
    "errors.md": errors.render,
    "models.md": models.render,
    "providers.md": providers.render,
    "wire-quirks.md": wire_quirks.render,
}
"""What renders each page of `docs/`."""
