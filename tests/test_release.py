"""Test that the checks of a release find what is wrong with a distribution, an extra or a snippet."""

from __future__ import annotations

import io
import subprocess
import sys
import tarfile
import zipfile
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.release import __main__ as release
from tests.release import archives, metadata
from tests.release.environments import Environment
from tests.release.extras import EXTRAS, find_extra_of, find_foreign_distributions
from tests.release.probes import Probe, check_probe
from tests.release.snippet_probes import find_needs, find_snippet_probes
from tests.support.scenarios import readme_snippets

TYPED = {f"{package}/py.typed": b"" for package in archives.PACKAGES}
WHEEL = {**TYPED, "qwenvl_core/a.py": b"", "qwenvl_adapters-1.dist-info/METADATA": b""}
PROJECT = {
    "requires-python": ">=3.11",
    "classifiers": [f"Programming Language :: Python :: {version}" for version in ("3 :: Only", "3.11", "3.12")],
}


def test_complete_wheel_has_no_problems() -> None:
    assert archives.find_wheel_problems(WHEEL) == []


@pytest.mark.parametrize("package", archives.PACKAGES)
def test_wheel_without_type_marker_is_reported(package: str) -> None:
    files = {name: data for name, data in WHEEL.items() if name != f"{package}/py.typed"}
    assert archives.find_wheel_problems(files) == [f"missing: {package}/py.typed"]


@pytest.mark.parametrize(
    ("name", "problem"),
    [
        ("tests/test_a.py", "not of a package"),
        ("README.md", "not of a package"),
        ("qwenvl_core/notes.txt", "neither code nor py.typed"),
        ("qwenvl_core/__pycache__/a.py", "stray"),
        ("qwenvl_core/../a.py", "stray"),
        ("/qwenvl_core/a.py", "not of a package"),
    ],
)
def test_wheel_with_other_files_is_reported(name: str, problem: str) -> None:
    assert f"{problem}: {name}" in archives.find_wheel_problems({**WHEEL, name: b""})


def test_sdist_must_equal_the_tracked_files() -> None:
    tracked = ["README.md", "docs/index.md", ".github/dependabot.yml"]
    assert archives.find_sdist_problems(["README.md", "docs/index.md", "PKG-INFO"], tracked) == []
    assert archives.find_sdist_problems(["README.md", "PKG-INFO"], tracked) == [
        "missing: docs/index.md. Add it to the sdist in pyproject.toml."
    ]
    assert archives.find_sdist_problems([*tracked[:2], "notes.txt"], tracked) == [
        "not under version control: notes.txt"
    ]


@pytest.mark.parametrize("name", ["a/__pycache__/b.py", "a.pyc", ".pytest_cache/x", "a.py~", "a.orig", "../a", "/a"])
def test_stray_file_is_found(name: str) -> None:
    assert archives.find_stray_files(["qwenvl_core/build_job.py", name]) == [name]


def test_path_of_the_machine_is_found() -> None:
    files = {"a.py": b"x = '/builds/me/project/a'", "b.py": b"/builds"}
    assert archives.find_machine_paths(files, ["/builds/me"]) == ["a.py: /builds/me"]


def test_archives_are_read_and_compared(tmp_path: Path) -> None:
    with zipfile.ZipFile(tmp_path / "a.whl", "w") as wheel:
        wheel.writestr("a.py", "1")
    with tarfile.open(tmp_path / "a-1.tar.gz", "w:gz") as sdist:
        add_file(sdist, "a-1/a.py", b"2")
        add_file(sdist, "a-1/b.py", b"")
    first, second = archives.read_wheel(tmp_path / "a.whl"), archives.read_sdist(tmp_path / "a-1.tar.gz")
    assert (first, second) == ({"a.py": b"1"}, {"a.py": b"2", "b.py": b""})
    assert archives.compare_files(first, second) == ["a.py", "b.py"]
    assert archives.compare_files(first, first) == []


def add_file(archive: tarfile.TarFile, name: str, data: bytes) -> None:
    member = tarfile.TarInfo(name)
    member.size = len(data)
    archive.addfile(member, io.BytesIO(data))


def test_sdist_with_files_outside_its_folder_is_refused(tmp_path: Path) -> None:
    with tarfile.open(tmp_path / "a-1.tar.gz", "w:gz") as sdist:
        add_file(sdist, "b.py", b"")
    with pytest.raises(ValueError, match=r"Unexpected entry in a-1\.tar\.gz: b\.py"):
        archives.read_sdist(tmp_path / "a-1.tar.gz")


@pytest.mark.parametrize(
    ("changes", "tested", "problems"),
    [
        ({}, ["3.11", "3.12"], 0),
        ({}, ["3.11", "3.12", "3.13"], 1),
        ({"requires-python": ">=3.10"}, ["3.11", "3.12"], 1),
        ({"requires-python": ">=3.10"}, [], 2),
    ],
)
def test_python_versions_must_agree(changes: dict[str, str], tested: list[str], problems: int) -> None:
    assert len(metadata.find_version_problems({**PROJECT, **changes}, tested)) == problems


def test_extra_all_provides_what_the_others_provide() -> None:
    single = [package for extra, packages in EXTRAS.items() if extra != "all" for package in packages]
    assert sorted(single) == sorted(EXTRAS["all"])
    assert {find_extra_of(package) for package in single} == set(EXTRAS) - {"", "all"}


@pytest.mark.parametrize(
    ("extra", "foreign"),
    [
        ("", ["av", "dashscope", "langchain-core", "langgraph-sdk", "llama-index-core", "pypdfium2"]),
        ("langchain", ["av", "dashscope", "llama-index-core", "pypdfium2"]),
        ("llama-index", ["av", "dashscope", "langchain-core", "langgraph-sdk", "pypdfium2"]),
        ("all", []),
    ],
)
def test_distributions_of_other_extras_are_found(extra: str, foreign: list[str]) -> None:
    installed = ["openai", "avro", "pypdfium2", "av", "langchain-core", "langgraph-sdk", "llama-index-core"]
    assert find_foreign_distributions(extra, [*installed, "dashscope"]) == foreign


def fail_with(message: str) -> Callable[[], None]:
    def run() -> None:
        raise ImportError(message)

    return run


@pytest.mark.parametrize(
    ("run", "installed", "problem"),
    [
        (lambda: None, True, None),
        (lambda: None, False, "no error, though av is missing"),
        (fail_with('pip install "qwenvl-adapters[video]"'), False, None),
        (fail_with('pip install "qwenvl-adapters[documents]"'), False, "does not name qwenvl-adapters[video]"),
        (fail_with('pip install "qwenvl-adapters[video]"'), True, "Traceback"),
    ],
)
def test_probe_works_or_names_the_missing_extra(run: Callable[[], None], installed: bool, problem: str | None) -> None:
    found = check_probe(Probe("frames", ("av",), run), lambda package: installed)
    assert (found is None) if problem is None else (found is not None and problem in found)


def test_needs_of_snippets_begin_with_a_framework() -> None:
    needs = {name: find_needs(code) for name, code in readme_snippets().items()}
    assert needs["readme_langchain"] == ["langchain_core"]
    assert needs["readme_llama_index"] == ["llama_index.core"]
    assert needs["readme_documents"] == ["langchain_core", "pypdfium2", "PIL"]
    with pytest.raises(ValueError, match="imports no adapter"):
        find_needs("print(1)")


def test_snippets_that_translations_share_are_probed_once() -> None:
    assert [probe.name.partition(": ")[2] for probe in find_snippet_probes()] == list(readme_snippets())


def test_missing_packages_are_found_behind_each_other(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(EXTRAS, "video", ("json", "missing_one", "csv", "missing_two"))
    monkeypatch.setattr(Environment, "_python", Path(sys.executable))
    problems = Environment(tmp_path / "a.whl", "video", tmp_path, tmp_path)._find_missing_packages()
    assert [problem.partition(":")[0] for problem in problems] == ["lacks missing_one", "lacks missing_two"]


@pytest.mark.parametrize(
    ("error", "problem"),
    [
        (subprocess.CalledProcessError(1, ["uv"], stderr="no wheel"), "no wheel"),
        (subprocess.TimeoutExpired(["uv"], 600), "timed out after 600 seconds"),
    ],
)
def test_failed_step_is_a_problem_of_its_environment(
    error: Exception, problem: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def fail(self: Environment) -> list[str]:
        raise error

    monkeypatch.setattr(Environment, "check", fail)
    environment = Environment(tmp_path / "a.whl", "video", tmp_path / "env", tmp_path)
    (found,) = release.check_environment(environment)
    assert problem in found
    assert "FAILED wheel [video]" in capsys.readouterr().out
