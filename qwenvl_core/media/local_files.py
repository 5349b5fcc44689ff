"""Decide which local files are read, and open them.

The setting `local_files` of a model decides by the way in which the caller named a file (`FileSource.origin`):

| `local_files` | `pathlib.Path` | typed field, such as LlamaIndex's `path` | string in a user message |
| --- | --- | --- | --- |
| `None` | read | read | refused |
| a directory | read | read within it | read within it |
| `True` | read | read | read |
| `False` | refused | refused | refused |

A program may build messages from the JSON of its clients, so a string must not open a file by default. A refusal does
not depend on the disk: it is the same whether the file exists or not. Strings in tool results and in assistant messages
are refused by `media.sources`, since models and remote tools write them.
"""

from __future__ import annotations

import os
import stat
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, BinaryIO

from qwenvl_core.errors import QwenVLInputError
from qwenvl_core.types.media import FileSource, LocalFiles, Source

_ADVICE = {
    None: "Pass a pathlib.Path, a URL, a data URI or bytes, or set local_files= on the model to a directory.",
    False: "The model has local_files=False. Pass a URL, a data URI or bytes.",
}
_DIRECTORY_ADVICE = (
    "local_files= of the model allows one directory, and this path is outside of it. Pass a path within it, a URL, a "
    "data URI or bytes."
)


def check_local_files(value: Any) -> LocalFiles:
    """Check a value of `local_files`; the disk is not read, since models are also constructed on event loops.

    Returns:
        The value; a directory as a string, so that a model can be serialized.

    Raises:
        QwenVLInputError: The value is not a path, a bool or `None`.
    """
    if value is None or isinstance(value, bool):
        return value
    if isinstance(value, str | Path) and str(value).strip():
        return str(value)
    raise QwenVLInputError(f"local_files={value!r} is invalid. Pass a directory, True, False or None.")


def authorize(source: Source, local_files: LocalFiles, location: str) -> Source:
    """Return a source that may be read, with `~` expanded, and within an allowed directory with its links resolved.

    Args:
        source: The source of a medium.
        local_files: The model's setting.
        location: Where the value is in the caller's input, for errors.

    Raises:
        QwenVLInputError: The setting does not allow this file.
    """
    if not isinstance(source, FileSource):
        return source
    if local_files is False:
        raise _refuse(source, location, _ADVICE[False])
    if local_files is None and source.origin == "string":
        raise _refuse(source, location, _ADVICE[None])
    path = expand_home(source.path)
    if source.origin != "path" and not isinstance(local_files, bool | None):
        resolved, directory = _resolve(path), _resolve(expand_home(Path(local_files)))
        if resolved is None or directory is None or not resolved.is_relative_to(directory):
            raise _refuse(source, location, _DIRECTORY_ADVICE)
        path = resolved
    return FileSource(path, source.origin)


def _refuse(source: FileSource, location: str, advice: str) -> QwenVLInputError:
    return QwenVLInputError(f"{location}: the local file {str(source.path)[:200]!r} is not read. {advice}")


def _resolve(path: Path) -> Path | None:
    """Return an absolute path without links; `None` for a path that no file can have."""
    try:
        return path.resolve(strict=True)
    except (FileNotFoundError, NotADirectoryError):
        return path.resolve()
    except (OSError, RuntimeError, ValueError):  # a loop of links, a null character
        return None


def expand_home(path: Path) -> Path:
    """Replace `~` at the beginning of a path by the home directory; keep the path if there is none."""
    try:
        return path.expanduser()
    except RuntimeError:
        return path


@contextmanager
def map_file_errors(source: object, location: str) -> Iterator[None]:
    """Raise `QwenVLInputError`, which names the file, if a medium can't be read.

    Args:
        source: The medium; a path is named in the error.
        location: Where the value is in the caller's input.
    """
    try:
        yield
    except OSError as error:
        path = source.path if isinstance(source, FileSource) else source
        name = path if isinstance(path, Path) else "this medium"
        raise QwenVLInputError(f"{location}: can't read {name}: {error.strerror or error}.") from error


def open_file(path: Path) -> BinaryIO:
    """Open a regular file for reading.

    Raises:
        OSError: The file can't be read, or is a pipe, a device or a directory, on which a read could wait forever; or
            no file can have this path.
    """
    try:
        descriptor = os.open(path, os.O_RDONLY | getattr(os, "O_NONBLOCK", 0) | getattr(os, "O_BINARY", 0))
    except ValueError as error:
        raise OSError(str(error)) from error  # a null character in the path
    try:
        mode = os.fstat(descriptor).st_mode
        if stat.S_ISDIR(mode):
            raise IsADirectoryError("it is a directory")
        if not stat.S_ISREG(mode):
            raise OSError("it is not a regular file")
        return os.fdopen(descriptor, "rb")
    except BaseException:
        os.close(descriptor)
        raise
