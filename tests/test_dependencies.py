"""Test that the dependencies can be installed beside the packages that users combine with them."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from tests.support.paths import ROOT

UNREACHABLE = re.compile(r"failed to fetch|error sending request|connect|dns|timed out|network", re.IGNORECASE)


def resolve(tmp_path: Path, requirements: list[str], *extras: str) -> dict[str, str]:
    """Resolve extras with other requirements, and return the versions by package.

    uv runs as a process of its own, so that the ban on sockets in tests does not apply to it.
    """
    search_path = os.pathsep.join([str(Path(sys.executable).parent), os.environ.get("PATH", "")])
    uv = shutil.which("uv", path=search_path)
    if uv is None:
        pytest.skip("uv is not installed")
    others = tmp_path / "others.txt"
    others.write_text("\n".join(requirements))
    command = [uv, "pip", "compile", "--quiet", "--no-header", "--no-annotate", "--python", sys.executable]
    command += [*(f"--extra={extra}" for extra in extras), str(ROOT / "pyproject.toml"), str(others)]
    try:
        result = subprocess.run(command, capture_output=True, text=True, check=False, timeout=120)
    except subprocess.TimeoutExpired:
        pytest.skip("the package index did not answer in time")
    if result.returncode and "No solution found" not in result.stderr and UNREACHABLE.search(result.stderr):
        pytest.skip(f"the package index can't be reached: {result.stderr[-300:]}")
    assert result.returncode == 0, result.stderr
    return dict(re.findall(r"^([\w-]+)(?:\[[^\]]*\])?==(\S+)", result.stdout, re.MULTILINE))


def parse_version(version: str) -> tuple[int, ...]:
    return tuple(int(number) for number in re.findall(r"\d+", version)[:3])


def test_all_extras_resolve_with_other_integrations(tmp_path: Path) -> None:
    versions = resolve(tmp_path, ["langchain-openai", "llama-index>=0.14", "deepagents", "dashscope"], "all")
    assert {"langchain-openai", "llama-index", "deepagents", "dashscope"} <= versions.keys()
    assert parse_version(versions["llama-index"]) >= (0, 14)
    assert parse_version(versions["langchain-core"]) >= (1, 6)
    assert (2, 16) <= parse_version(versions["openai"]) < (4,)


def pin_lowest(*packages: str) -> list[str]:
    """Return the lowest versions that pyproject.toml allows, as pins."""
    project = (ROOT / "pyproject.toml").read_text(encoding="utf-8")
    found = [(name, re.search(rf'"{name}>=([0-9.]+),', project)) for name in packages]
    return [f"{name}=={match[1]}.*" for name, match in found if match]


def test_lowest_versions_resolve_together(tmp_path: Path) -> None:
    pins = pin_lowest("openai", "langchain-core", "llama-index-core", "dashscope")
    assert len(pins) == 4
    assert resolve(tmp_path, pins, "all")


def test_lowest_pydantic_resolves_with_langchain(tmp_path: Path) -> None:
    """LlamaIndex requires a newer one."""
    pins = pin_lowest("pydantic", "langchain-core", "dashscope")
    versions = resolve(tmp_path, pins, "langchain", "dashscope", "documents")
    assert parse_version(versions["pydantic"])[:2] == (2, 10)
