"""Test the links of the built documentation: all inside it resolve, and nothing is loaded from another host."""

from __future__ import annotations

import re
from pathlib import Path
from urllib.parse import unquote, urlsplit

import pytest
import yaml

from tests.docs.built_site import BuiltSite, parse
from tests.support.paths import ROOT

_CSS_RESOURCE = re.compile(r"""(?:@import\s+|url\(\s*)["']?([^"')\s]+)""")


class ConfigLoader(yaml.SafeLoader):
    """Read the configuration without the tags that mkdocs defines."""


for prefix in ("!", "tag:yaml.org,2002:python/"):
    ConfigLoader.add_multi_constructor(prefix, lambda loader, tag, node: None)


def find_broken(site: BuiltSite) -> list[str]:
    """Return the links inside the site that lead nowhere, each with its page."""
    return [
        f"{path.relative_to(site.folder)}: {link}"
        for path, page in site.pages.items()
        for link in dict.fromkeys([*page.links, *page.resources])
        if not is_external(link) and not resolves(site, path, link)
    ]


def is_external(link: str) -> bool:
    """Return whether a link leads out of the site."""
    parts = urlsplit(link)
    return bool(parts.netloc) or parts.scheme in {"http", "https", "mailto", "data"}


def resolves(site: BuiltSite, path: Path, link: str) -> bool:
    """Return whether the file of a link exists, and has the anchor."""
    parts = urlsplit(link)
    target = (path.parent / unquote(parts.path)).resolve() if parts.path else path
    if link.startswith("/"):  # the site may be anywhere
        return path.name == "404.html" and resolves(site, site.folder / "index.html", link.removeprefix("/") or "#")
    target = target / "index.html" if target.is_dir() else target
    if not target.is_file() or not target.is_relative_to(site.folder):
        return False
    return not parts.fragment or target.suffix != ".html" or unquote(parts.fragment) in site.pages[target].ids


def test_links_inside_the_site_resolve(site: BuiltSite) -> None:
    assert find_broken(site) == []


def test_nothing_is_loaded_from_another_host(site: BuiltSite) -> None:
    loaded = [
        f"{path.name}: {resource}"
        for path, page in site.pages.items()
        for resource in page.resources
        if is_external(resource) and not resource.startswith("data:")
    ]
    assert loaded == []


def test_style_sheets_load_nothing_from_another_host(site: BuiltSite) -> None:
    sheets = {path.name: path.read_text(encoding="utf-8") for path in site.folder.rglob("*.css")}
    sheets |= {path.name: path.read_text(encoding="utf-8") for path in site.pages}
    assert any(name.endswith(".css") for name in sheets)
    found = [(name, url) for name, text in sheets.items() for url in _CSS_RESOURCE.findall(text)]
    assert [(name, url) for name, url in found if is_external(url) and not url.startswith("data:")] == []


def test_every_page_is_in_the_navigation(site: BuiltSite) -> None:
    config = (ROOT / "mkdocs.yml").read_text(encoding="utf-8")
    listed = set(list_pages(yaml.load(config, Loader=ConfigLoader)["nav"]))
    sources = {path.relative_to(ROOT / "docs").as_posix() for path in (ROOT / "docs").rglob("*.md")}
    assert sources <= listed
    assert all((site.folder / Path(page).with_suffix(".html")).is_file() for page in listed)


def list_pages(nav: object) -> list[str]:
    """Return the pages of a navigation."""
    match nav:
        case str(page):
            return [page]
        case list(items):
            return [page for item in items for page in list_pages(item)]
        case dict(sections):
            return [page for item in sections.values() for page in list_pages(item)]
    raise TypeError(nav)


@pytest.mark.parametrize(
    ("html", "broken"),
    [
        ('<a href="b.html#there">', False),
        ('<a href="b.html#nowhere">', True),
        ('<a href="c.html">', True),
        ('<a href="#top"><p id="top">', False),
        ('<a href="#bottom">', True),
        ('<img src="missing.png">', True),
        ('<img srcset="b.html 1x, missing.png 2x">', True),
        ('<a href="https://example.com/x#y">', False),
        ('<a href="/b.html">', True),
        ('<a href="../outside.html">', True),
    ],
)
def test_find_broken_reports_what_leads_nowhere(html: str, broken: bool, tmp_path: Path) -> None:
    folder = tmp_path / "site"
    folder.mkdir()
    (tmp_path / "outside.html").write_text("")
    (folder / "a.html").write_text(html)
    (folder / "b.html").write_text('<h2 id="there">')
    assert bool(find_broken(BuiltSite(folder, ""))) == broken


def test_parse_finds_what_a_browser_loads() -> None:
    page = parse('<link rel="stylesheet" href="a.css"><link rel="canonical" href="x"><script src="b.js"></script>')
    assert page.resources == ["a.css", "b.js"]
