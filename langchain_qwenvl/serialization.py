"""Reviving a serialized model with LangChain's `load` and `loads`."""

from __future__ import annotations

import importlib

from langchain_core.load.serializable import Serializable


def register(cls: type[Serializable]) -> None:
    """Count `cls` among the partner classes that LangChain revives under `allowed_objects="all"`.

    Its list of them is fixed, and its own test suite asks for it. Callers must still name this package in
    `valid_namespaces`; without that, nothing of it is revived.
    """
    loader = importlib.import_module("langchain_core.load.load")  # the package's `load` is the function
    path = tuple(cls.lc_id())
    loader.ALL_SERIALIZABLE_MAPPINGS[path] = path
    getattr(loader, "_default_class_paths_cache", {}).pop("all", None)
