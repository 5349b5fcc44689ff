"""Import a module of ours on first use, and name the extra that installs a missing framework.

Importing an adapter must load little more than the framework (`bench/` holds the figure: 19 ms of self time against
61 ms with the pipeline), so the modules that a program may never use are loaded with their first attribute.
"""

from __future__ import annotations

from importlib import import_module
from types import ModuleType
from typing import Any


class _LazyModule(ModuleType):
    def __getattr__(self, name: str) -> Any:
        value = getattr(import_module(self.__name__), name)
        setattr(self, name, value)
        return value


def lazy_module(name: str) -> ModuleType:
    """Return a stand-in for a module that imports it when the first attribute is read.

    Args:
        name: The module's full name. Beside the call, import it under `TYPE_CHECKING` for type checkers.
    """
    return _LazyModule(name)


def raise_missing_extra(error: ModuleNotFoundError, framework: str, extra: str) -> None:
    """Name the extra to install if an adapter's framework is missing; return if anything else is missing.

    Args:
        error: The failed import.
        framework: The framework's package.
        extra: The extra that installs it.

    Raises:
        ModuleNotFoundError: The framework is missing.
    """
    if error.name and f"{framework}.".startswith(f"{error.name}."):
        reason = f'{error.name} is not installed: pip install "qwenvl-adapters[{extra}]"'
        raise ModuleNotFoundError(reason, name=error.name) from error
