"""Install an artifact with one extra into a fresh environment, and run the probes there."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import venv
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from tests.release.extras import EXTRAS, find_foreign_distributions
from tests.support.markdown import find_code_blocks

_SNIPPET_PACKAGES = ("vcrpy>=8.5,<9", "pyyaml>=6")
_DROPPED_VARIABLES = ("DASHSCOPE_", "OPENAI_", "LANGSMITH_", "LANGCHAIN_", "PYTHON", "VIRTUAL_ENV")
_FRAMEWORKS = {"langchain_core", "llama_index.core"}
_SECONDS = 600  # longest time of a step; an installation may have to build, and waits for the package index


@dataclass(frozen=True)
class Environment:
    """An environment with one artifact and one extra.

    Attributes:
        artifact: The wheel or the source distribution.
        extra: The extra, or `""` for none.
        folder: Where the environment is made.
        project: A folder with the files of the source distribution but the packages, in which the probes run.
    """

    artifact: Path
    extra: str
    folder: Path
    project: Path

    @property
    def name(self) -> str:
        """The artifact and the extra, for the report."""
        kind = "wheel" if self.artifact.suffix == ".whl" else "sdist"
        return f"{kind} [{self.extra}]" if self.extra else f"{kind} without extras"

    def check(self) -> Iterator[str]:
        """Make the environment and yield what is wrong in it.

        Raises:
            subprocess.SubprocessError: An installation failed, or a step took longer than ten minutes.
        """
        venv.create(self.folder, clear=True, symlinks=os.name != "nt", with_pip=False)
        self._install(f"{self.artifact}[{self.extra}]" if self.extra else str(self.artifact))
        yield from self._find_wrong_distributions()
        yield from self._find_missing_packages()
        yield from self._run_probes("packages")
        self._install(*_SNIPPET_PACKAGES, *self._find_companions())
        yield from self._run_probes("snippets")

    def _install(self, *requirements: str) -> None:
        """Install requirements, copied: llama-index-core refuses an nltk that is a hard link into uv's cache."""
        command = [sys.executable, "-m", "uv", "pip", "install", "--quiet", "--link-mode", "copy"]
        subprocess.run(
            [*command, "--python", str(self._python), *requirements],
            check=True,
            capture_output=True,
            text=True,
            timeout=_SECONDS,
        )

    def _find_wrong_distributions(self) -> list[str]:
        command = [sys.executable, "-m", "uv", "pip", "list", "--format", "json", "--python", str(self._python)]
        output = subprocess.run(command, check=True, capture_output=True, text=True, timeout=_SECONDS).stdout
        names = [distribution["name"] for distribution in json.loads(output)]
        return [f"installs {name}" for name in find_foreign_distributions(self.extra, names)]

    def _find_missing_packages(self) -> list[str]:
        """Import all packages of the extra in one process, and those that follow a failure in another one."""
        names = list(EXTRAS[self.extra])
        missing = []
        while names:
            result = self._run("-c", "".join(f"import {name}\nprint({name!r}, flush=True)\n" for name in names))
            imported = result.stdout.splitlines()
            rest = [name for name in names if name not in imported]
            missing += [f"lacks {name}: {result.stderr}" for name in rest[:1]]
            names = rest[1:]
        return missing

    def _find_companions(self) -> list[str]:
        """Return what the README's snippets import beside the project: LangChain's agents."""
        codes = [
            block.code
            for readme in self.project.glob("README*.md")
            for block in find_code_blocks(readme.read_text(encoding="utf-8"))
        ]
        has_agent = any("from langchain." in code for code in codes)
        return ["langchain>=1.0"] if has_agent and "langchain_core" in EXTRAS[self.extra] else []

    def _run_probes(self, kind: str) -> Iterator[str]:
        result = self._run("-m", "tests.release.run_probes", kind)
        probes = [json.loads(line) for line in result.stdout.splitlines() if line.startswith("{")]
        yield from (f"{probe['name']}: {probe['problem']}" for probe in probes if probe["problem"])
        if result.returncode:
            yield f"the probes of the {kind} ended with exit status {result.returncode}: {result.stderr[-2000:]}"
        elif not probes and (kind == "packages" or _FRAMEWORKS.intersection(EXTRAS[self.extra])):
            yield f"no probe of the {kind} ran"

    def _run(self, *arguments: str) -> subprocess.CompletedProcess[str]:
        variables = {name: value for name, value in os.environ.items() if not name.startswith(_DROPPED_VARIABLES)}
        command = [str(self._python), *arguments]
        return subprocess.run(
            command, cwd=self.project, env=variables, check=False, capture_output=True, text=True, timeout=_SECONDS
        )

    @property
    def _python(self) -> Path:
        return self.folder / ("Scripts" if os.name == "nt" else "bin") / "python"


def list_environments(artifacts: Sequence[Path], folder: Path, project: Path) -> list[Environment]:
    """Return the environments of all artifacts and extras."""
    return [
        Environment(artifact, extra, folder / f"{number}-{extra or 'none'}", project)
        for number, artifact in enumerate(artifacts)
        for extra in EXTRAS
    ]
