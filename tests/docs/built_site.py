"""Build the documentation as `make docs` does, and read the pages that come out."""

from __future__ import annotations

import os
import subprocess
import sys
from dataclasses import dataclass, field
from functools import cached_property
from html.parser import HTMLParser
from pathlib import Path

from tests.support.paths import ROOT

BUILD_SECONDS = 1500
"""Longest time of a build, which executes the notebooks whose sources have changed."""


@dataclass
class Page(HTMLParser):
    """The identifiers and the references of a page.

    Attributes:
        ids: Values of `id` and of an anchor's `name`.
        links: Addresses that a reader follows: `href` of `a`.
        resources: Addresses that a browser loads by itself: scripts, styles, icons, images, frames, media.
    """

    ids: set[str] = field(default_factory=set)
    links: list[str] = field(default_factory=list)
    resources: list[str] = field(default_factory=list)

    def __post_init__(self) -> None:
        super().__init__()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        """Record the identifiers and references of an element."""
        values = {name: value for name, value in attrs if value is not None}
        if "id" in values:
            self.ids.add(values["id"])
        if tag == "a":
            self.ids.update({values["name"]} if "name" in values else ())
            self.links += [values["href"]] if "href" in values else []
        elif tag == "link" and values.get("rel") not in {"canonical", "next", "prev", "alternate"}:
            self.resources.append(values.get("href", ""))
        self.resources += [values[name] for name in ("src", "data", "poster") if name in values]
        if "srcset" in values:
            self.resources += [source.split()[0] for source in values["srcset"].split(",") if source.strip()]


@dataclass(frozen=True)
class BuiltSite:
    """The built documentation.

    Attributes:
        folder: The folder with the pages.
        messages: What the build printed.
    """

    folder: Path
    messages: str

    @cached_property
    def pages(self) -> dict[Path, Page]:
        """The parsed pages by path."""
        return {path: parse(path.read_text(encoding="utf-8")) for path in sorted(self.folder.rglob("*.html"))}


def parse(html: str) -> Page:
    """Parse a page."""
    page = Page()
    page.feed(html)
    page.close()
    return page


def build(folder: Path) -> BuiltSite:
    """Build the site into `folder`, with the switches of `make docs`."""
    command = [sys.executable, "-m", "mkdocs", "build", "--strict", "--clean", "--quiet", "--site-dir", str(folder)]
    result = subprocess.run(
        command,
        cwd=ROOT,
        env={**os.environ, "NO_MKDOCS_2_WARNING": "1"},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        check=False,
        timeout=BUILD_SECONDS,
    )
    assert result.returncode == 0, result.stdout
    return BuiltSite(folder, result.stdout)
