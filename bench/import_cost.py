"""What is measured without a server: what an import takes, and what an installation brings."""

from __future__ import annotations

import importlib
import json
import re
import statistics
import subprocess
import sys
import time
from collections.abc import Iterable
from importlib.metadata import Distribution, distributions
from typing import Any, NamedTuple

from bench.venvs import ROOT, clean_environ, python, site_packages

TABLE = "Import and installation"
_OURS = ("qwenvl_core", "langchain_qwenvl", "llama_index_qwenvl")
_SDKS = ("openai", "dashscope", "pypdfium2", "PIL", "jiter", "httpx", "httpx2")


class Package(NamedTuple):
    """A package as it is imported and installed; `framework` is what is loaded before, and counts for itself."""

    name: str
    environment: str
    module: str
    requirement: str
    framework: str = ""


_LANGCHAIN = "langchain_core.language_models.chat_models langchain_core.utils.function_calling"
_LLAMA_INDEX = "llama_index.core.llms.function_calling"

PACKAGES = (
    Package("openai", "openai", "openai", "openai"),
    Package("dashscope", "dashscope", "dashscope", "dashscope"),
    Package("langchain-openai", "langchain-openai", "langchain_openai", "langchain-openai", _LANGCHAIN),
    Package("langchain_qwenvl", "ours", "langchain_qwenvl", "qwenvl-adapters[langchain]", _LANGCHAIN),
    Package(
        "llama-index-openai-like",
        "openai-like",
        "llama_index.llms.openai_like",
        "llama-index-llms-openai-like",
        _LLAMA_INDEX,
    ),
    Package("llama_index_qwenvl", "ours", "llama_index_qwenvl", "qwenvl-adapters[llama-index]", _LLAMA_INDEX),
)


class Static(NamedTuple):
    """What one package costs before it does anything.

    Attributes:
        own_ms: Self time of our own modules, ms.
        beyond_ms: CPU of the import when the framework is already imported, ms.
        modules: Modules that it loads then.
        sdks: Which SDKs are among them.
        megabytes: Of everything that is installed with it, without bytecode.
        distributions: Their number.
    """

    name: str
    own_ms: float | None
    beyond_ms: float
    modules: int
    sdks: list[str]
    megabytes: float
    distributions: int


def measured(repetitions: int) -> list[Static]:
    """All packages that can be imported today."""
    found = []
    for package in PACKAGES:
        try:
            imports = [_asked(package.environment, "import", package) for _ in range(repetitions)]
        except subprocess.CalledProcessError:
            print(f"{package.name}: left out, it can't be imported")
            continue
        own = None if package.environment != "ours" else min(_own_ms(package.module) for _ in range(repetitions))
        beyond = statistics.median(told["ms"] for told in imports)
        sizes = _asked("ours", "install", package)  # any environment's can be looked at from there
        found.append(Static(package.name, own, beyond, imports[0]["modules"], imports[0]["sdks"], **sizes))
    return found


def _own_ms(module: str) -> float:
    """By Python's own account, which prints lines of `import time: self µs | cumulative µs | name`."""
    command = [str(python("ours")), "-X", "importtime", "-c", f"import {module}"]
    told = subprocess.run(command, cwd=ROOT, env=clean_environ(), check=True, capture_output=True, text=True).stderr
    rows = re.findall(r"import time:\s+(\d+) \|\s+\d+ \|\s+([\w.]+)", told)
    return sum(int(self_time) for self_time, name in rows if name.partition(".")[0] in _OURS) / 1000


def _asked(environment: str, *arguments: Any) -> Any:
    command = [str(python(environment)), "-m", "bench.import_cost", arguments[0], json.dumps(arguments[1])]
    return json.loads(subprocess.run(command, cwd=ROOT, env=clean_environ(), check=True, stdout=subprocess.PIPE).stdout)


def _import(package: Package) -> dict[str, Any]:
    for name in package.framework.split():
        importlib.import_module(name)
    before, start = set(sys.modules), time.process_time()
    importlib.import_module(package.module)
    ms = (time.process_time() - start) * 1000
    new = sys.modules.keys() - before
    return {"ms": ms, "modules": len(new), "sdks": [name for name in _SDKS if name in new]}


def _install(package: Package) -> dict[str, Any]:
    found = distributions(path=[str(site_packages(package.environment))])
    installed = {_plain(distribution.name): distribution for distribution in found}
    needed = _needed(package.requirement, installed)
    size = sum(map(_size, needed))
    if package.environment == "ours":  # it is installed as a link to here
        size += sum(file.stat().st_size for name in _OURS for file in (ROOT / name).rglob("*.py"))
    return {"megabytes": size / 1e6, "distributions": len(needed)}


def _needed(requirement: str, installed: dict[str, Distribution]) -> list[Distribution]:
    """A requirement's distribution, and all that it requires."""
    from packaging.requirements import Requirement

    seen: dict[str, set[str]] = {}
    todo = [Requirement(requirement)]
    while todo:
        wanted = todo.pop()
        name, extras = _plain(wanted.name), {"", *wanted.extras}
        new = extras - seen.setdefault(name, set())
        seen[name] |= new
        if new:
            rows = map(Requirement, installed[name].requires or ())
            todo += [row for row in rows if not row.marker or any(row.marker.evaluate({"extra": one}) for one in new)]
    return [installed[name] for name in seen]


def _plain(name: str) -> str:
    return re.sub(r"[-_.]+", "-", name).lower()


def _size(distribution: Distribution) -> int:
    files: Iterable[Any] = (distribution.locate_file(file) for file in distribution.files or ())
    return sum(file.stat().st_size for file in files if file.suffix != ".pyc" and file.is_file())


if __name__ == "__main__":
    print(json.dumps({"import": _import, "install": _install}[sys.argv[1]](Package(*json.loads(sys.argv[2])))))
