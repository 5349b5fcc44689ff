"""Test that the documentation builds without a warning."""

from __future__ import annotations

import shutil
import subprocess

import pytest

from tests.docs.built_site import BuiltSite

CHROMIUM = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None)


def test_build_has_no_warning(site: BuiltSite) -> None:
    assert site.messages == ""
    assert (site.folder / "index.html").is_file()


@pytest.mark.skipif(CHROMIUM is None, reason="there is no Chromium on this machine; Debian: apt-get install chromium")
def test_search_works_in_pages_opened_from_the_disk(site: BuiltSite) -> None:
    page = (site.folder / "migrating" / "chat-qwen.html").as_uri()
    command = [str(CHROMIUM), "--headless", "--no-sandbox", "--virtual-time-budget=20000", "--dump-dom"]
    result = subprocess.run([*command, f"{page}?q=thinking"], capture_output=True, text=True, check=True, timeout=120)
    assert "md-search-result__item" in result.stdout
