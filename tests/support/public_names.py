"""List the public names: those of the three packages, and of the core's modules that are useful alone."""

from __future__ import annotations

import importlib
import inspect
from dataclasses import dataclass
from typing import Any

MODULES = (
    "langchain_qwenvl",
    "llama_index_qwenvl",
    "qwenvl_core",
    "qwenvl_core.errors",
    "qwenvl_core.grounding",
    "qwenvl_core.layout",
    "qwenvl_core.media",
    "qwenvl_core.models",
    "qwenvl_core.tokens",
)
RETURNED = (
    "qwenvl_core.client.batch_job.BatchJob",
    "qwenvl_core.types.batch.BatchStatus",
    "qwenvl_core.types.retrieval.Ranked",
    "qwenvl_core.types.retrieval.RetrievalUsage",
)
"""Classes that no module exports for users, but that public methods return."""


@dataclass(frozen=True)
class PublicName:
    """A public name."""

    module: str
    name: str

    @property
    def path(self) -> str:
        """The dotted path."""
        return f"{self.module}.{self.name}"

    @property
    def page(self) -> str:
        """The name of the page of the reference that describes it."""
        return self.module.split(".")[0]

    @property
    def value(self) -> Any:
        """What the name stands for."""
        return getattr(importlib.import_module(self.module), self.name)

    @property
    def is_constant(self) -> bool:
        """Whether it is neither a class nor a function."""
        return not callable(self.value)

    @property
    def is_error(self) -> bool:
        """Whether it is an exception class."""
        return inspect.isclass(self.value) and issubclass(self.value, Exception)


def list_exports(module: str) -> list[str]:
    """Return the names that a module exports: its `__all__`, or the classes that it defines."""
    namespace = vars(importlib.import_module(module))
    defined = [name for name, value in namespace.items() if getattr(value, "__module__", None) == module]
    names: list[str] = namespace.get("__all__") or [name for name in defined if not name.startswith("_")]
    return names


PUBLIC_NAMES = [PublicName(module, name) for module in MODULES for name in list_exports(module)] + [
    PublicName(*path.rsplit(".", 1)) for path in RETURNED
]
