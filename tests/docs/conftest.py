"""Build the documentation once for the tests of this folder, which need mkdocs-material."""

from __future__ import annotations

from importlib.util import find_spec

import pytest

from tests.docs.built_site import BUILD_SECONDS, BuiltSite, build

if find_spec("material") is None:  # see `make test-docs`
    collect_ignore_glob = ["test_*.py"]


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Give the test that builds the site the time of a build."""
    for item in items:
        if "site" in getattr(item, "fixturenames", ()):
            item.add_marker(pytest.mark.timeout(BUILD_SECONDS + 60))


@pytest.fixture(scope="session")
def site(tmp_path_factory: pytest.TempPathFactory) -> BuiltSite:
    """Build the site into a temporary folder."""
    return build(tmp_path_factory.mktemp("site"))
