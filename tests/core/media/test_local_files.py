"""Test which local files are read, for each value of `local_files` and each way to name a file."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import pytest

from qwenvl_core.errors import QwenVLInputError
from qwenvl_core.media.local_files import authorize, check_local_files, open_file
from qwenvl_core.media.sources import parse_source
from qwenvl_core.types.media import FileSource, InlineSource, UrlSource
from tests.support.pipeline import PNG

LOCATION = "messages[0].content[1] (image)"


@pytest.fixture
def directory(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A directory `allowed` within the working directory, with a file inside and a secret outside of it."""
    allowed = tmp_path / "allowed"
    (allowed / "deep").mkdir(parents=True)
    (allowed / "a.png").write_bytes(PNG)
    (allowed / "deep" / "b c.png").write_bytes(PNG)
    (tmp_path / "secret.png").write_bytes(PNG)
    (tmp_path / "allowed-too").mkdir()
    (tmp_path / "allowed-too" / "a.png").write_bytes(PNG)
    (allowed / "link.png").symlink_to(tmp_path / "secret.png")
    (allowed / "up").symlink_to(tmp_path)
    (allowed / "inside.png").symlink_to(allowed / "a.png")
    (allowed / "loop").symlink_to(allowed / "loop")
    (tmp_path / "shortcut").symlink_to(allowed)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("HOME", str(tmp_path))
    return allowed


def read(value: Any, local_files: Any, *, is_path_field: bool = False) -> Path:
    source = parse_source(value, location=LOCATION, files=True, is_path_field=is_path_field)
    authorized = authorize(source, local_files, LOCATION)
    assert isinstance(authorized, FileSource)
    return authorized.path


@pytest.mark.parametrize(
    ("local_files", "string", "field", "path"),
    [(None, False, True, True), (True, True, True, True), (False, False, False, False), ("allowed", True, True, True)],
)
def test_setting_decides_by_the_way_in_which_a_file_is_named(
    local_files: Any, string: bool, field: bool, path: bool, directory: Path
) -> None:
    local_files = check_local_files(local_files)
    name = str(directory / "a.png")
    for value, is_path_field, is_read in (
        (name, False, string),
        (Path(name).as_uri(), False, string),
        (name, True, field),
        (Path(name), True, field),
        (Path(name), False, path),
    ):
        if is_read:
            assert read(value, local_files, is_path_field=is_path_field).read_bytes() == PNG
            continue
        with pytest.raises(QwenVLInputError, match=r"a\.png' is not read") as caught:
            read(value, local_files, is_path_field=is_path_field)
        assert str(caught.value).startswith(f"{LOCATION}: ")


@pytest.mark.parametrize(
    "value",
    [
        "allowed/a.png", "./allowed/../allowed/a.png", "{}/a.png", "{}/deep/b c.png", "file://{}/deep/b%20c.png",
        "file://localhost{}/a.png", "FILE://{}/a.png", "allowed/inside.png", "shortcut/a.png", "~/allowed/a.png",
        "allowed/missing.png",
    ],
)  # fmt: skip
def test_directory_allows_strings_inside_it(value: str, directory: Path) -> None:
    for setting in (directory, str(directory), "allowed", "~/allowed", "shortcut"):
        path = read(value.format(directory), setting)
        assert path.is_relative_to(directory)
        assert path.name == "missing.png" or path.read_bytes() == PNG


OUTSIDE = [
    "secret.png", "missing.png", "allowed/../secret.png", "allowed/../missing.png", "allowed/link.png",
    "allowed/up/secret.png", "allowed/up/missing.png", "allowed-too/a.png", "/etc/passwd", "/etc/missing",
    "~/secret.png", "~/.ssh/id_rsa", "~nobody-at-all/a.png", "file:///etc/passwd", "file:///etc/missing",
    "file://{}/%2e%2e/secret.png", "file:secret.png", "{}/../secret.png", "allowed/loop", "allowed/a\0.png",
    "C:\\Windows\\win.ini", "C:/Windows/win.ini", "\\\\server\\share\\a.png", "..\\secret.png", " /etc/passwd",
    "/proc/self/environ", "/dev/stdin",
]  # fmt: skip


@pytest.mark.parametrize("value", OUTSIDE)
def test_directory_refuses_strings_outside_of_it(value: str, directory: Path) -> None:
    for is_path_field in (False, True):
        with pytest.raises(QwenVLInputError, match="outside of it") as caught:
            read(value.format(directory), directory, is_path_field=is_path_field)
        assert "{}" in value or str(directory.parent) not in str(caught.value)  # the message may go to a client


@pytest.mark.parametrize("local_files", [None, False, "allowed"])
def test_refusal_is_the_same_for_present_and_missing_files(local_files: Any, directory: Path) -> None:
    def refuse(value: str) -> str:
        with pytest.raises(QwenVLInputError) as caught:
            read(value, local_files)
        return str(caught.value).replace(value, "…")

    assert refuse("secret.png") == refuse("missing.png") == refuse("/etc/passwd") == refuse("/etc/missing")


def test_directory_does_not_limit_path_objects(directory: Path) -> None:
    assert read(Path("secret.png"), directory).read_bytes() == PNG
    assert read(Path("~/secret.png"), None).read_bytes() == PNG


@pytest.mark.parametrize("value", ["https://example.com/a.png", "data:image/png;base64,iVBORw0KGgo=", PNG])
def test_other_sources_are_not_files(value: Any) -> None:
    source = parse_source(value, location=LOCATION, files=True)
    assert isinstance(source, UrlSource | InlineSource)
    assert authorize(source, False, LOCATION) is source


@pytest.mark.parametrize("value", ["", " ", 1, 0, b"x", ["."], 2.5])
def test_invalid_setting_raises(value: Any) -> None:
    with pytest.raises(QwenVLInputError, match=r"local_files=.*a directory, True, False or None"):
        check_local_files(value)


@pytest.mark.parametrize("kind", ["pipe", "device", "directory"])
def test_open_file_special_file_raises(kind: str, tmp_path: Path) -> None:
    path = {"pipe": tmp_path / "pipe", "device": Path("/dev/zero"), "directory": tmp_path}[kind]
    if kind == "pipe":
        os.mkfifo(path)
    with pytest.raises(OSError, match=r"regular file|directory"):
        open_file(path)


def test_open_file_path_with_null_character_raises() -> None:
    with pytest.raises(OSError, match="null"):
        open_file(Path("a\0.png"))


@pytest.mark.parametrize(
    "text",
    ["iVBORw0KGgoAAAANSUhEUgAAAAEAAAAB", "/9j/4AAQSkZJRgABAQAAAQABAAD/2wBD", "R0lGODlhAQABAIAAAAAAAP___yH5BAEAAAAA"],
)
@pytest.mark.parametrize("files", [True, False])
def test_base64_text_without_a_head_raises_with_hint(text: str, files: bool) -> None:
    with pytest.raises(QwenVLInputError, match="data:image/png;base64,"):
        parse_source(text, location=LOCATION, files=files)
