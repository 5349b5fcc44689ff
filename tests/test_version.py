"""Test that the project, the package and the changelog agree on the version."""

from __future__ import annotations

import re
import tomllib
from datetime import date

import qwenvl_core
from tests.support.paths import ROOT

CHANGELOG = (ROOT / "CHANGELOG.md").read_text(encoding="utf-8")
HEADINGS = re.findall(r"^## (.*)$", CHANGELOG, re.MULTILINE)
RELEASE = re.compile(r"(\d+\.\d+\.\d+) - (\d{4}-\d\d-\d\d)")


def releases() -> list[tuple[tuple[int, ...], date]]:
    """Return version and date of each section of the changelog but "Unreleased", in its order."""
    matches = [RELEASE.fullmatch(heading) for heading in HEADINGS if heading != "Unreleased"]
    assert all(matches), HEADINGS
    return [
        (tuple(map(int, match[1].split("."))), date.fromisoformat(match[2])) for match in matches if match is not None
    ]


def test_version_is_that_of_the_newest_section_of_the_changelog() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    assert project["version"] == qwenvl_core.__version__
    assert tuple(map(int, project["version"].split("."))) == releases()[0][0]


def test_changelog_has_unreleased_first_and_releases_from_newest_to_oldest() -> None:
    assert HEADINGS[0] == "Unreleased"
    assert HEADINGS.count("Unreleased") == 1
    versions, dates = zip(*releases(), strict=True)
    assert list(versions) == sorted(set(versions), reverse=True)
    assert list(dates) == sorted(dates, reverse=True)


def test_changelog_sections_have_each_known_heading_once_and_no_gaps_in_lists() -> None:
    kinds = ["Added", "Changed", "Deprecated", "Removed", "Fixed", "Security"]
    for section in CHANGELOG.split("\n## ")[1:]:
        headings = re.findall(r"^### (.*)$", section, re.MULTILINE)
        assert headings == [kind for kind in kinds if kind in headings]
    assert not re.search(r"\n(- |  ).*\n\n- ", CHANGELOG)
