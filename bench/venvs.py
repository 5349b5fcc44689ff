"""Virtual environments, one for each measured library, so that none constrains the versions of another."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent

PACKAGES = {
    "ours": ["--editable", ".[all]"],
    "openai": ["openai"],
    "langchain-openai": ["langchain-openai"],
    "openai-like": ["llama-index-llms-openai-like"],
    "dashscope": ["dashscope"],
    "langchain-community": ["langchain-community", "dashscope"],
    "llama-index-dashscope": ["llama-index-embeddings-dashscope", "llama-index-postprocessor-dashscope-rerank"],
}
"""The requirements that are installed in each environment."""

REPORTED_PACKAGES = (
    "openai", "httpx", "httpx2", "jiter", "pydantic", "langchain-core", "langchain-openai",
    "langchain-community", "llama-index-core", "llama-index-llms-openai-like", "llama-index-embeddings-dashscope",
    "llama-index-postprocessor-dashscope-rerank", "dashscope", "qwenvl-adapters",
)  # fmt: skip
"""The packages whose versions the report lists."""


def python_path(venv: str) -> Path:
    """Return the path of an environment's interpreter."""
    return ROOT / ".venvs" / f"bench-{venv}" / "bin" / "python"


def find_site_packages(venv: str) -> Path:
    """Return the folder in which an environment has its packages."""
    return next(python_path(venv).parent.parent.glob("lib/python*/site-packages"))


def build_missing() -> None:
    """Build the environments that are missing, or older than their requirements."""
    for name, packages in PACKAGES.items():
        folder = python_path(name).parent.parent
        stamp = folder / ".made"
        requirements = json.dumps(packages) + (ROOT / "pyproject.toml").read_text() * (name == "ours")
        if stamp.exists() and stamp.read_text() == requirements:
            continue
        print(f"── environment {folder.name}: {' '.join(packages)}", flush=True)
        _run(sys.executable, "-m", "venv", "--clear", str(folder))
        _run(str(python_path(name)), "-m", "pip", "install", "--quiet", "uv")
        # Copied, not linked: llama-index-core rejects a hard-linked nltk.
        uv = [str(folder / "bin" / "uv"), "pip", "install", "--quiet", "--link-mode", "copy"]
        _run(*uv, *packages, VIRTUAL_ENV=str(folder))
        stamp.write_text(requirements)


def build_process_environ() -> dict[str, str]:
    """Return the environment variables of a measured process: no tracing, no proxies, and a dummy key."""
    kept = {name: os.environ[name] for name in ("PATH", "HOME", "LANG", "TMPDIR") if name in os.environ}
    return kept | {"DASHSCOPE_API_KEY": "sk-bench", "OPENAI_API_KEY": "sk-bench", "LANGSMITH_TRACING": "false"}


def _run(*command: str, **environ: str) -> None:
    subprocess.run(command, cwd=ROOT, check=True, env={**os.environ, **environ})
