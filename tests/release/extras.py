"""Rows: what each extra installs, as names to import and as distributions."""

from __future__ import annotations

from collections.abc import Iterable

EXTRAS: dict[str, tuple[str, ...]] = {
    "": (),
    "langchain": ("langchain_core",),
    "llama-index": ("llama_index.core",),
    "dashscope": ("dashscope", "httpx"),
    "documents": ("pypdfium2", "PIL", "tqdm"),
    "video": ("av",),
    "all": ("langchain_core", "llama_index.core", "dashscope", "httpx", "pypdfium2", "PIL", "tqdm", "av"),
}
"""Packages that can be imported with each extra alone; `""` is an installation without extras."""

_OWNERS = {
    "langchain": "langchain",
    "langgraph": "langchain",
    "llama-index": "llama-index",
    "dashscope": "dashscope",
    "pypdfium2": "documents",
    "av": "video",
}
"""Extras by the first words of the distributions that they alone may install."""


def find_extra_of(package: str) -> str:
    """Return the extra that installs a package: `find_extra_of("av")` is `"video"`."""
    return next(extra for extra, packages in EXTRAS.items() if package in packages)


def find_foreign_distributions(extra: str, distributions: Iterable[str]) -> list[str]:
    """Return the installed distributions that belong to another extra than the installed one."""
    owners = {name: _find_owner(name) for name in distributions}
    return sorted(name for name, owner in owners.items() if owner and extra not in (owner, "all"))


def _find_owner(distribution: str) -> str | None:
    name = distribution.lower().replace("_", "-")
    return next((owner for start, owner in _OWNERS.items() if f"{name}-".startswith(f"{start}-")), None)
