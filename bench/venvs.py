"""One environment for each contender, so that none is held to another's versions."""

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
}

SHOWN = (
    "openai", "httpx", "httpx2", "jiter", "pydantic", "langchain-core", "langchain-openai",
    "llama-index-core", "llama-index-llms-openai-like", "dashscope", "qwenvl-adapters",
)  # fmt: skip


def python(environment: str) -> Path:
    """The interpreter of an environment."""
    return ROOT / ".venvs" / f"bench-{environment}" / "bin" / "python"


def site_packages(environment: str) -> Path:
    """Where an environment has its packages."""
    return next(python(environment).parent.parent.glob("lib/python*/site-packages"))


def make() -> None:
    """Build the environments that are missing, or older than what they hold."""
    for name, packages in PACKAGES.items():
        folder = python(name).parent.parent
        made = folder / ".made"
        wanted = json.dumps(packages) + (ROOT / "pyproject.toml").read_text() * (name == "ours")
        if made.exists() and made.read_text() == wanted:
            continue
        print(f"── environment {folder.name}: {' '.join(packages)}", flush=True)
        _run(sys.executable, "-m", "venv", "--clear", str(folder))
        _run(str(python(name)), "-m", "pip", "install", "--quiet", "uv")
        # Copied, not linked: llama-index-core refuses a hard-linked nltk.
        uv = [str(folder / "bin" / "uv"), "pip", "install", "--quiet", "--link-mode", "copy"]
        _run(*uv, *packages, VIRTUAL_ENV=str(folder))
        made.write_text(wanted)


def clean_environ() -> dict[str, str]:
    """The environment of a measured process: no tracing, no proxies, no keys but a made-up one."""
    kept = {name: os.environ[name] for name in ("PATH", "HOME", "LANG", "TMPDIR") if name in os.environ}
    return kept | {"DASHSCOPE_API_KEY": "sk-bench", "OPENAI_API_KEY": "sk-bench", "LANGSMITH_TRACING": "false"}


def _run(*command: str, **environ: str) -> None:
    subprocess.run(command, cwd=ROOT, check=True, env={**os.environ, **environ})
