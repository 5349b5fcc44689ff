"""Register models for LangChain's `load` and `loads`.

With `allowed_objects="all"`, langchain-core revives only the classes in its table, to which each partner package is
added by a pull request (e.g. https://github.com/langchain-ai/langchain/pull/36510). Callers can also pass
`allowed_objects=[ChatQwenVL]` or `additional_import_mappings=`, but LangChain's standard test suite uses only `"all"`,
so an entry is added to the table here.
"""

from __future__ import annotations

import importlib

from langchain_core.load.serializable import Serializable


def register_serializable(cls: type[Serializable]) -> None:
    """Add `cls` to the classes that LangChain revives under `allowed_objects="all"`.

    Callers must still name this package in `valid_namespaces`; without that, none of its classes is revived. If
    langchain-core has no such table, `load` needs `allowed_objects=[ChatQwenVL]`.
    """
    loader = importlib.import_module("langchain_core.load.load")  # the package's attribute `load` is the function
    class_path = tuple(cls.lc_id())
    table = getattr(loader, "ALL_SERIALIZABLE_MAPPINGS", None)
    if isinstance(table, dict):
        table.setdefault(class_path, class_path)
    cache = getattr(loader, "_default_class_paths_cache", None)
    if isinstance(cache, dict):
        cache.pop("all", None)
