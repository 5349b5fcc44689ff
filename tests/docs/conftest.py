"""Build the documentation once for the tests of this folder, which need mkdocs-material."""

from __future__ import annotations

from importlib.util import find_spec

import pytest

from tests.docs.built_site import BuiltSite, build

if find_spec("material") is None:  # see `make test-docs`
    collect_ignore_glob = ["test_*.py"]


@pytest.fixture(scope="session")
def site(tmp_path_factory: pytest.TempPathFactory) -> BuiltSite:
    """Build the site into a temporary folder."""
    return build(tmp_path_factory.mktemp("site"))
