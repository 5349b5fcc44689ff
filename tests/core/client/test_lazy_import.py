"""Test what an import without the framework of an adapter says."""

from __future__ import annotations

import subprocess
import sys

import pytest

from qwenvl_core.client.lazy_import import raise_missing_extra

ADAPTERS = [("langchain_qwenvl", "langchain_core", "langchain"), ("llama_index_qwenvl", "llama_index", "llama-index")]


SCRIPT = """
import sys
class MissingPackage:
    @staticmethod
    def find_spec(name, path=None, target=None):
        if name.partition(".")[0] == {framework!r}:
            raise ModuleNotFoundError(f"No module named {{name!r}}", name=name)
sys.meta_path.insert(0, MissingPackage)
import {module}
"""


@pytest.mark.parametrize(("adapter", "framework", "extra"), ADAPTERS)
@pytest.mark.parametrize("module", ["", ".exceptions", ".messages"])
def test_import_without_framework_names_the_extra(adapter: str, framework: str, extra: str, module: str) -> None:
    script = SCRIPT.format(framework=framework, module=adapter + module)
    process = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=False)
    last_line = process.stderr.splitlines()[-1]
    assert last_line == (
        f'ModuleNotFoundError: {framework} is not installed: pip install "qwenvl-adapters[{extra}]"'
    ), process.stderr


@pytest.mark.parametrize("missing", ["llama_index", "llama_index.core"])
def test_raise_missing_extra_keeps_name_and_cause(missing: str) -> None:
    error = ModuleNotFoundError(f"No module named {missing!r}", name=missing)
    with pytest.raises(ModuleNotFoundError, match=r"qwenvl-adapters\[llama-index\]") as caught:
        raise_missing_extra(error, "llama_index.core", "llama-index")
    assert caught.value.name == missing
    assert caught.value.__cause__ is error


@pytest.mark.parametrize("missing", [None, "", "llama", "llama_index.core.llms", "llama_index.corela", "nltk"])
def test_raise_missing_extra_ignores_other_modules(missing: str | None) -> None:
    raise_missing_extra(ModuleNotFoundError("x", name=missing), "llama_index.core", "llama-index")
