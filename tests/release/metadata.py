"""Check the metadata of a distribution against pyproject.toml, the README and the package index's rules."""

from __future__ import annotations

import re
from collections.abc import Collection, Iterator, Mapping
from typing import Any

_CLASSIFIER = "Programming Language :: Python :: "


def find_metadata_problems(text: str, project: Mapping[str, Any], readme: str) -> list[str]:
    """Return what is wrong with the metadata of a distribution.

    Args:
        text: The file `METADATA` or `PKG-INFO`.
        project: The table `project` of pyproject.toml.
        readme: The README, which is the long description.
    """
    from packaging.metadata import InvalidMetadata, Metadata

    try:
        metadata = Metadata.from_email(text, validate=True)
    except ExceptionGroup as errors:
        return [str(error) for error in errors.exceptions if isinstance(error, InvalidMetadata | ValueError)]
    expected = {
        "name": project["name"],
        "version": project["version"],
        "summary": project["description"],
        "license_expression": project["license"],
        "license_files": project["license-files"],
        "requires_python": project["requires-python"],
        "keywords": sorted(project["keywords"]),
        "classifiers": sorted(project["classifiers"]),
        "project_urls": project["urls"],
        "provides_extra": sorted(project["optional-dependencies"]),
        "description_content_type": "text/markdown",
        "description": readme.strip(),
    }
    found = {name: _normalize(getattr(metadata, name)) for name in expected}
    differences = [f"{name}: {found[name]!r:.80}, not {expected[name]!r:.80}" for name in expected]
    return [
        *(difference for name, difference in zip(expected, differences, strict=True) if found[name] != expected[name]),
        *(f"URL without https: {url}" for url in project["urls"].values() if not url.startswith("https://")),
        *_find_invalid_classifiers(project["classifiers"]),
        *_find_rendering_problems(readme),
    ]


def find_version_problems(project: Mapping[str, Any], tested: Collection[str]) -> list[str]:
    """Compare the Python versions of the classifiers with the lowest one that is required, and with those of the CI."""
    versions = re.findall(rf"{_CLASSIFIER}(3\.\d+)", "\n".join(project["classifiers"]))
    lowest = min(versions, key=lambda version: int(version.partition(".")[2]))
    problems = [] if sorted(versions) == sorted(tested) else [f"classifiers: {versions}, tested: {list(tested)}"]
    if project["requires-python"] != f">={lowest}":
        problems.append(f"requires-python: {project['requires-python']}, lowest classifier: {lowest}")
    return problems


def _normalize(value: Any) -> Any:
    if isinstance(value, list):
        return sorted(map(str, value))
    return value if isinstance(value, dict) else str(value).strip()


def _find_invalid_classifiers(classifiers: Collection[str]) -> Iterator[str]:
    from trove_classifiers import classifiers as known
    from trove_classifiers import deprecated_classifiers

    yield from (f"unknown classifier: {name}" for name in classifiers if name not in known)
    yield from (f"deprecated classifier: {name}" for name in classifiers if name in deprecated_classifiers)


def _find_rendering_problems(readme: str) -> Iterator[str]:
    """Render the README as the package index does; yield what is lost."""
    from readme_renderer.markdown import render

    html = render(readme)
    if not html:
        yield "the README is not rendered"
        return
    expected = {"<h1": len(re.findall(r"^# ", readme, re.MULTILINE)), "<table>": readme.count("\n| ---")}
    yield from (
        f"the README renders to {html.count(tag)} {tag}, not {count}"
        for tag, count in expected.items()
        if html.count(tag) != count
    )
    if "&lt;!--" in html:
        yield "the README's comments are shown"
