"""Check what the wheel and the source distribution hold."""

from __future__ import annotations

import tarfile
import zipfile
from collections.abc import Collection, Iterable, Mapping
from pathlib import Path, PurePosixPath

PACKAGES = ("qwenvl_core", "langchain_qwenvl", "llama_index_qwenvl")

_STRAY_FOLDERS = {"__pycache__", ".git", ".venv", ".venvs", "site", "dist", "build"}
_STRAY_SUFFIXES = (".pyc", ".pyo", ".orig", ".rej", ".swp", "~", ".DS_Store", "_cache")
_NOT_IN_SDIST = (".ci/", ".github/", ".gitignore", ".pre-commit-config.yaml")
_ONLY_IN_SDIST = {"PKG-INFO", ".gitignore"}  # added by the build backend

Files = Mapping[str, bytes]
"""The content of an archive's files by their paths."""


def read_wheel(path: Path) -> dict[str, bytes]:
    """Read a wheel."""
    with zipfile.ZipFile(path) as archive:
        return {name: archive.read(name) for name in archive.namelist() if not name.endswith("/")}


def read_sdist(path: Path) -> dict[str, bytes]:
    """Read a source distribution, without the name of the folder that all its files are in.

    Raises:
        ValueError: There is more than this folder, or something that is no file.
    """
    folder = f"{path.name.removesuffix('.tar.gz')}/"
    files: dict[str, bytes] = {}
    with tarfile.open(path) as archive:
        for member in archive:
            content = archive.extractfile(member)
            if content is None or not member.name.startswith(folder):
                raise ValueError(f"Unexpected entry in {path.name}: {member.name}. Allowed: files in {folder}")
            files[member.name.removeprefix(folder)] = content.read()
    return files


def find_wheel_problems(files: Files) -> list[str]:
    """Return what a wheel lacks, and what it should not hold."""
    missing = [f"{package}/py.typed" for package in PACKAGES if f"{package}/py.typed" not in files]
    strangers = [name for name in files if not _is_in_package(name) and ".dist-info/" not in name]
    others = [name for name in files if _is_in_package(name) and not name.endswith((".py", "/py.typed"))]
    return [
        *(f"missing: {name}" for name in missing),
        *(f"not of a package: {name}" for name in strangers),
        *(f"neither code nor py.typed: {name}" for name in others),
        *(f"stray: {name}" for name in find_stray_files(files)),
    ]


def find_sdist_problems(files: Iterable[str], tracked: Collection[str]) -> list[str]:
    """Compare a source distribution with the files that are under version control.

    Args:
        files: The files of the source distribution.
        tracked: The files under version control.
    """
    found = set(files)
    expected = {name for name in tracked if not name.startswith(_NOT_IN_SDIST)}
    return [
        *(f"missing: {name}. Add it to the sdist in pyproject.toml." for name in sorted(expected - found)),
        *(f"not under version control: {name}" for name in sorted(found - expected - _ONLY_IN_SDIST)),
        *(f"stray: {name}" for name in find_stray_files(found)),
    ]


def find_stray_files(names: Iterable[str]) -> list[str]:
    """Return caches, leftovers of editors and merges, and paths that leave the archive."""
    return [name for name in names if _is_stray(PurePosixPath(name))]


def find_machine_paths(files: Files, folders: Iterable[str]) -> list[str]:
    """Return the files that name a folder of the machine that built them, as `file: folder`."""
    return [f"{name}: {folder}" for folder in folders for name, data in files.items() if folder.encode() in data]


def compare_files(first: Files, second: Files) -> list[str]:
    """Return the names of the files that are not the same in both."""
    return sorted(name for name in {*first, *second} if first.get(name) != second.get(name))


def _is_in_package(name: str) -> bool:
    return name.partition("/")[0] in PACKAGES


def _is_stray(path: PurePosixPath) -> bool:
    is_outside = path.is_absolute() or ".." in path.parts
    return is_outside or any(part in _STRAY_FOLDERS or part.endswith(_STRAY_SUFFIXES) for part in path.parts)
