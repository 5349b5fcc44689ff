"""Measure what does not need a server: the cost of an import, and the size of an installation."""

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

from bench.venvs import ROOT, build_process_environ, find_site_packages, python_path

TABLE = "Import and installation"
_OUR_PACKAGES = ("qwenvl_core", "langchain_qwenvl", "llama_index_qwenvl")
_SDKS = ("openai", "dashscope", "pypdfium2", "PIL", "jiter", "httpx", "httpx2")


class Package(NamedTuple):
    """A package as it is imported and installed.

    Attributes:
        name: Name in the report.
        venv: The virtual environment that it is installed in.
        module: The module to import.
        requirement: The requirement that installs it.
        framework: Modules to import first, separated by spaces; they do not count.
    """

    name: str
    venv: str
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


class ImportCost(NamedTuple):
    """The cost of one package before it is used.

    Attributes:
        name: Name of the package in the report.
        own_ms: Self time of our own modules, in ms; `None` for other packages.
        cpu_ms: CPU time of the import after that of the framework, in ms.
        modules: Number of modules that this import loads.
        sdks: The SDKs among them.
        megabytes: Size of everything that is installed with it, without bytecode.
        distributions: Number of distributions that are installed with it.
    """

    name: str
    own_ms: float | None
    cpu_ms: float
    modules: int
    sdks: list[str]
    megabytes: float
    distributions: int


def measure(repetitions: int) -> list[ImportCost]:
    """Measure all packages that can be imported."""
    costs = []
    for package in PACKAGES:
        try:
            imports = [_run_operation(package.venv, "import", package) for _ in range(repetitions)]
        except subprocess.CalledProcessError:
            print(f"{package.name}: skipped, its import fails")
            continue
        own_ms = None if package.venv != "ours" else min(_measure_own_ms(package.module) for _ in range(repetitions))
        cpu_ms = statistics.median(result["ms"] for result in imports)
        size = _run_operation("ours", "install", package)  # reads the packages of any environment
        costs.append(ImportCost(package.name, own_ms, cpu_ms, imports[0]["modules"], imports[0]["sdks"], **size))
    return costs


def _measure_own_ms(module: str) -> float:
    """Sum the self time of our modules in the output of `python -X importtime`.

    It prints lines of `import time: self µs | cumulative µs | name`.
    """
    command = [str(python_path("ours")), "-X", "importtime", "-c", f"import {module}"]
    environ = build_process_environ()
    output = subprocess.run(command, cwd=ROOT, env=environ, check=True, capture_output=True, text=True).stderr
    rows = re.findall(r"import time:\s+(\d+) \|\s+\d+ \|\s+([\w.]+)", output)
    return sum(int(self_time) for self_time, name in rows if name.partition(".")[0] in _OUR_PACKAGES) / 1000


def _run_operation(venv: str, operation: str, package: Package) -> Any:
    """Run `_import` or `_measure_size` in a new process."""
    command = [str(python_path(venv)), "-m", "bench.import_cost", operation, json.dumps(package)]
    environ = build_process_environ()
    return json.loads(subprocess.run(command, cwd=ROOT, env=environ, check=True, stdout=subprocess.PIPE).stdout)


def _import(package: Package) -> dict[str, Any]:
    for name in package.framework.split():
        importlib.import_module(name)
    before, start = set(sys.modules), time.process_time()
    importlib.import_module(package.module)
    ms = (time.process_time() - start) * 1000
    loaded = sys.modules.keys() - before
    return {"ms": ms, "modules": len(loaded), "sdks": [name for name in _SDKS if name in loaded]}


def _measure_size(package: Package) -> dict[str, Any]:
    found = distributions(path=[str(find_site_packages(package.venv))])
    installed = {_normalize_name(distribution.name): distribution for distribution in found}
    required = _resolve_requirement(package.requirement, installed)
    size = sum(map(_sum_file_sizes, required))
    if package.venv == "ours":  # an editable installation: the files are in this folder
        size += sum(file.stat().st_size for name in _OUR_PACKAGES for file in (ROOT / name).rglob("*.py"))
    return {"megabytes": size / 1e6, "distributions": len(required)}


def _resolve_requirement(requirement: str, installed: dict[str, Distribution]) -> list[Distribution]:
    """Return the distribution of a requirement, and all distributions that it requires."""
    from packaging.requirements import Requirement

    extras_by_name: dict[str, set[str]] = {}
    pending = [Requirement(requirement)]
    while pending:
        current = pending.pop()
        name, extras = _normalize_name(current.name), {"", *current.extras}
        new = extras - extras_by_name.setdefault(name, set())
        extras_by_name[name] |= new
        if new:
            rows = map(Requirement, installed[name].requires or ())
            pending += [row for row in rows if not row.marker or any(row.marker.evaluate({"extra": e}) for e in new)]
    return [installed[name] for name in extras_by_name]


def _normalize_name(name: str) -> str:
    """Normalize the name of a distribution; see PEP 503."""
    return re.sub(r"[-_.]+", "-", name).lower()


def _sum_file_sizes(distribution: Distribution) -> int:
    files: Iterable[Any] = (distribution.locate_file(file) for file in distribution.files or ())
    return sum(file.stat().st_size for file in files if file.suffix != ".pyc" and file.is_file())


_OPERATIONS = {"import": _import, "install": _measure_size}

if __name__ == "__main__":
    print(json.dumps(_OPERATIONS[sys.argv[1]](Package(*json.loads(sys.argv[2])))))
