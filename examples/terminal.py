"""Styles for printed text. They are left out when the output is not a terminal."""

import os
import sys


def dim(text: str) -> str:
    """Return `text` in grey."""
    return _style("90", text)


def bold(text: str) -> str:
    """Return `text` in bold."""
    return _style("1", text)


def _style(code: str, text: str) -> str:
    # NO_COLOR: https://no-color.org
    if not text or os.environ.get("NO_COLOR") or not sys.stdout.isatty():
        return text
    return f"\033[{code}m{text}\033[0m"
