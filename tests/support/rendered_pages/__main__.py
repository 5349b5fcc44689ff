"""Write every page that is rendered from data."""

from __future__ import annotations

from tests.support.paths import ROOT
from tests.support.rendered_pages import PAGES

for name, render in PAGES.items():
    (ROOT / "docs" / name).write_text(render(), encoding="utf-8")
