"""Test that the documentation builds without a warning."""

from __future__ import annotations

from tests.docs.built_site import BuiltSite


def test_build_has_no_warning(site: BuiltSite) -> None:
    assert site.messages == ""
    assert (site.folder / "index.html").is_file()
