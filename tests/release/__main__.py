"""Build the source distribution and the wheel, and check them in every way that an upload should survive."""

from __future__ import annotations

import re
import shutil
import subprocess
import sys
import tempfile
import time
import tomllib
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any, NamedTuple

from tests.release import archives, metadata
from tests.release.environments import Environment, list_environments
from tests.support.paths import ROOT

_WORKERS = 2
_BUILD_SECONDS = 600  # longest time of a build, which waits for the package index


class Artifacts(NamedTuple):
    """The built files: the source distribution, the wheel, and the wheel that the source distribution builds."""

    sdist: Path
    wheel: Path
    rebuilt_wheel: Path


def build(folder: Path) -> Artifacts:
    """Build all artifacts with the build backend of pyproject.toml."""
    sdist = _build_one(ROOT, folder / "dist", "--sdist")
    wheel = _build_one(ROOT, folder / "dist", "--wheel")
    return Artifacts(sdist, wheel, _build_one(sdist, folder / "rebuilt", "--wheel"))


def _build_one(source: Path, folder: Path, kind: str) -> Path:
    before = {*folder.glob("*")}
    command = [sys.executable, "-m", "uv", "build", "--quiet", kind, "--out-dir", str(folder), str(source)]
    subprocess.run(command, check=True, cwd=ROOT, timeout=_BUILD_SECONDS)
    return next(path for path in {*folder.glob("*.whl"), *folder.glob("*.tar.gz")} - before)


def check_archives(artifacts: Artifacts) -> Iterator[str]:
    """Yield what is wrong with the contents of the archives."""
    wheel, sdist = archives.read_wheel(artifacts.wheel), archives.read_sdist(artifacts.sdist)
    rebuilt = archives.read_wheel(artifacts.rebuilt_wheel)
    yield from (f"wheel: {problem}" for problem in archives.find_wheel_problems(wheel))
    yield from (f"the sdist builds another {name}" for name in archives.compare_files(wheel, rebuilt))
    tracked = subprocess.run(["git", "ls-files", "-z"], cwd=ROOT, check=True, capture_output=True, text=True).stdout
    problems = archives.find_sdist_problems(sdist, [name for name in tracked.split("\0") if name])
    yield from (f"sdist: {problem}" for problem in problems)
    for files in (wheel, sdist):
        yield from (f"path of this machine: {found}" for found in archives.find_machine_paths(files, [str(ROOT)]))


def check_metadata(artifacts: Artifacts) -> Iterator[str]:
    """Yield what is wrong with the metadata of both artifacts."""
    project: dict[str, Any] = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    readme = (ROOT / "README.md").read_text(encoding="utf-8")
    wheel, sdist = archives.read_wheel(artifacts.wheel), archives.read_sdist(artifacts.sdist)
    texts = {
        "wheel": next(data for name, data in wheel.items() if name.endswith(".dist-info/METADATA")),
        "sdist": sdist["PKG-INFO"],
    }
    for name, text in texts.items():
        problems = metadata.find_metadata_problems(text.decode(), project, readme)
        yield from (f"{name}: {problem}" for problem in problems)
    workflow = (ROOT / ".github" / "workflows" / "test.yml").read_text(encoding="utf-8")
    matrix = re.search(r"^\s+python: \[(.*)\]", workflow, re.MULTILINE)
    yield from metadata.find_version_problems(project, re.findall(r"3\.\d+", matrix[1]) if matrix else [])
    twine = [sys.executable, "-m", "twine", "--no-color", "check", "--strict", str(artifacts.sdist)]
    result = subprocess.run([*twine, str(artifacts.wheel)], check=False, capture_output=True, text=True)
    if result.returncode:
        yield f"twine check: {result.stdout}{result.stderr}"


def check_environment(environment: Environment) -> list[str]:
    """Return what is wrong in an environment, and report it."""
    start = time.monotonic()
    try:
        problems = list(environment.check())
    except (subprocess.CalledProcessError, subprocess.TimeoutExpired) as error:
        problems = [f"{error} {error.stderr if isinstance(error.stderr, str) else ''}"]
    _report(environment.name, problems, start)
    shutil.rmtree(environment.folder, ignore_errors=True)
    return problems


def main() -> int:
    """Run all checks and return the number of problems, at most 1."""
    with tempfile.TemporaryDirectory(prefix="release-") as name:
        folder = Path(name)
        start = time.monotonic()
        artifacts = build(folder)
        _report("build", [], start)
        problems = []
        for title, check in (("contents", check_archives), ("metadata", check_metadata)):
            start = time.monotonic()
            found = list(check(artifacts))
            _report(title, found, start)
            problems += found
        project = _unpack_without_packages(artifacts.sdist, folder)
        environments = list_environments([artifacts.wheel, artifacts.sdist], folder, project)
        with ThreadPoolExecutor(_WORKERS) as pool:
            problems += [problem for found in pool.map(check_environment, environments) for problem in found]
    sys.stdout.write(f"{len(problems)} problems\n" if problems else f"{artifacts.wheel.name}: ready for a release\n")
    return min(len(problems), 1)


def _unpack_without_packages(sdist: Path, folder: Path) -> Path:
    """Unpack a source distribution and remove the packages, so that an environment's own are imported."""
    shutil.unpack_archive(sdist, folder, filter="data")
    project = folder / sdist.name.removesuffix(".tar.gz")
    for package in archives.PACKAGES:
        shutil.rmtree(project / package)
    return project


def _report(title: str, problems: list[str], start: float) -> None:
    lines = [f"{'FAILED' if problems else 'ok':6} {title} ({time.monotonic() - start:.0f} s)"]
    sys.stdout.write("\n  - ".join([*lines, *problems]) + "\n")
    sys.stdout.flush()


if __name__ == "__main__":
    sys.exit(main())
