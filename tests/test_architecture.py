"""The architecture, held by tests: who may import whom, where wire shapes are spelled, what an import loads."""

from __future__ import annotations

import ast
import importlib
import inspect
import json
import re
import subprocess
import sys
import tomllib
from collections.abc import Iterator
from functools import cache
from graphlib import TopologicalSorter
from pathlib import Path
from typing import Any, NamedTuple

import pytest

ROOT = Path(__file__).resolve().parents[1]
PACKAGES = ("qwenvl_core", "langchain_qwenvl", "llama_index_qwenvl")
MODULES = [path for package in PACKAGES for path in sorted((ROOT / package).rglob("*.py"))]
CORE = [path for path in MODULES if path.is_relative_to(ROOT / "qwenvl_core")]
ADAPTERS = [package for package in PACKAGES[1:] if (ROOT / package / "__init__.py").is_file()]


def name_of(path: Path) -> str:
    return path.relative_to(ROOT).as_posix()


per_module = pytest.mark.parametrize("path", MODULES, ids=name_of)
per_package = pytest.mark.parametrize("package", PACKAGES)
per_adapter = pytest.mark.parametrize("package", ADAPTERS)


@cache
def tree_of(path: Path) -> ast.Module:
    return ast.parse(path.read_text("utf-8"))


# --- imports ----------------------------------------------------------------------------------------------------------


class Imported(NamedTuple):
    """One imported module, and whether the import runs when the importing module is loaded."""

    name: str
    at_once: bool


def imports(path: Path) -> list[Imported]:
    return list(_imports(tree_of(path).body, at_once=True))


def _imports(body: list[ast.stmt], *, at_once: bool) -> Iterator[Imported]:
    for node in body:
        if isinstance(node, ast.Import):
            yield from (Imported(alias.name, at_once) for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, "imports are absolute"
            yield Imported(node.module or "", at_once)
        elif isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            yield from _imports(node.body, at_once=False)
        elif isinstance(node, ast.Assign):
            yield from (Imported(name, False) for name in lazy_imports(node.value))
        else:
            typing_only = isinstance(node, ast.If) and "TYPE_CHECKING" in ast.dump(node.test)
            for field in ("body", "orelse", "finalbody"):
                yield from _imports(getattr(node, field, []), at_once=at_once and not typing_only)
            for handler in [*getattr(node, "handlers", []), *getattr(node, "cases", [])]:
                yield from _imports(handler.body, at_once=at_once)


def lazy_imports(tree: ast.AST) -> Iterator[str]:
    """Yield the modules that are named in calls of `lazy_module`."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Call) and ast.unparse(node.func) == "lazy_module":
            (argument,) = node.args
            assert isinstance(argument, ast.Constant), "lazy_module takes the name as a literal"
            assert isinstance(argument.value, str)
            yield argument.value


def test_lazy_modules_are_imports() -> None:
    body = ast.parse('a = lazy_module("qwenvl_core.models")\nif True:\n    b = lazy_module("openai")').body
    assert list(_imports(body, at_once=True)) == [Imported("qwenvl_core.models", False), Imported("openai", False)]


EDGES: dict[str, tuple[str, ...]] = {
    "qwenvl_core": ("qwenvl_core",),
    "langchain_qwenvl": ("langchain_qwenvl", "qwenvl_core", "langchain_core", "pydantic", "typing_extensions"),
    "llama_index_qwenvl": ("llama_index_qwenvl", "qwenvl_core", "llama_index.core", "pydantic", "typing_extensions"),
}
"""What each package may import beside the standard library."""

PILLOW = (
    "documents/citations",
    "documents/image_export",
    "media/colour",
    "media/images",
    "media/pillow",
    "media/scan_values",
    "rendering/images",
    "rendering/pages",
    "rendering/pdf",
    "request/image_fitting",
    "vision/drawing",
)
OWNERS: dict[str, tuple[str, ...]] = {
    "openai": ("qwenvl_core/transport/openai.py",),
    "dashscope": ("qwenvl_core/transport/dashscope.py", "qwenvl_core/request/text_tokenizer.py"),
    "httpx": ("qwenvl_core/transport/dashscope.py",),
    "jiter": ("qwenvl_core/wire/sse.py", "qwenvl_core/types/tool_arguments.py"),
    "pydantic_core": ("qwenvl_core/client/connection_config.py",),
    "pydantic": (
        "qwenvl_core/client/config.py",
        "qwenvl_core/client/connection_config.py",
        "qwenvl_core/client/retrieval_config.py",
    ),
    "numpy": ("qwenvl_core/rendering/images.py",),
    "pypdfium2": tuple(f"qwenvl_core/rendering/{name}.py" for name in ("pdf", "pdf_extent", "pdf_forms")),
    "tqdm": ("qwenvl_core/documents/progress.py",),
    "av": ("qwenvl_core/media/video_decoding.py",),
    "PIL": (
        *(f"qwenvl_core/{name}.py" for name in PILLOW),
        "langchain_qwenvl/document_loaders.py",
        "llama_index_qwenvl/readers.py",
    ),
}
"""The only modules that may import a library which is not of its package's framework."""

AT_ONCE = tuple(f"qwenvl_core/rendering/{name}.py" for name in ("pdf", "pdf_extent", "pdf_forms", "images"))
"""Modules that import Pillow and pypdfium2 at once, and are themselves imported only when a file is opened."""


@per_module
def test_allowed_imports(path: Path) -> None:
    package = path.relative_to(ROOT).parts[0]
    for name, _ in imports(path):
        top = name.partition(".")[0]
        if top in sys.stdlib_module_names or any(
            name == edge or name.startswith(f"{edge}.") for edge in EDGES[package]
        ):
            continue
        assert name_of(path) in OWNERS.get(top, ()), f"{name_of(path)} must not import {name}"


@per_module
def test_what_is_optional_is_imported_when_it_is_used(path: Path) -> None:
    at_once = {name.partition(".")[0] for name, at_once in imports(path) if at_once}
    if name_of(path) not in AT_ONCE:
        assert not at_once & {"PIL", "pypdfium2", "av"}
    assert not at_once & {"numpy", "tqdm"}
    lazy = {module.removesuffix(".py").replace("/", ".") for module in AT_ONCE}
    lazy |= {"qwenvl_core.transport.openai", "qwenvl_core.transport.dashscope"}
    if name_of(path) not in AT_ONCE:
        assert not {name for name, at_once in imports(path) if at_once} & lazy


LAYERS = (
    {"errors", "parsing"},
    {"catalog", "types"},
    {"tokens", "media"},
    {"vision", "rendering", "wire"},
    {"layout", "grounding", "request", "transport"},
    {"documents", "client"},
)
"""The folders and modules of the core, lowest first. A module imports from its own folder and from lower layers only.

`models` re-exports what users need of the catalog, and the package itself holds its version: both are exempt."""

FLAT = {"__init__", "errors", "tokens", "layout", "grounding", "models"}
"""The modules that lie flat in the core: their names are public."""


def module_name(path: Path) -> str:
    return name_of(path).removesuffix(".py").removesuffix("/__init__").replace("/", ".")


def imported_modules(path: Path) -> set[str]:
    """Return the modules of the three packages that a module imports anywhere in its body."""
    known = {module_name(module) for module in MODULES}
    found = set()
    for node in ast.walk(tree_of(path)):
        if isinstance(node, ast.ImportFrom) and node.module:
            names = {f"{node.module}.{alias.name}" for alias in node.names}
            found |= {name if name in known else node.module for name in names}
        elif isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
    found.update(lazy_imports(tree_of(path)))
    return found & known


def layer_of(module: str) -> int | None:
    package, *folders = module.split(".")
    if package != "qwenvl_core":
        return len(LAYERS)
    return next((index for index, layer in enumerate(LAYERS) if folders and folders[0] in layer), None)


@per_module
def test_imports_point_down(path: Path) -> None:
    module = module_name(path)
    own = layer_of(module)
    if own is None:
        assert module in ("qwenvl_core", "qwenvl_core.models")
        return
    for imported in imported_modules(path) - {"qwenvl_core"}:
        layer = layer_of(imported)
        assert layer is not None, f"{module} imports {imported}: import from qwenvl_core.catalog instead"
        depth = 2 if own < len(LAYERS) else 1  # an adapter is one folder
        same_folder = imported.split(".")[:depth] == module.split(".")[:depth]
        assert layer < own or same_folder, f"{module} must not import {imported}"


def test_imports_form_no_circle() -> None:
    edges = {module_name(path): imported_modules(path) - {"qwenvl_core"} for path in MODULES}
    graph = TopologicalSorter({module: targets - {module} for module, targets in edges.items()})
    graph.prepare()  # raises CycleError, which names the modules


def test_only_public_modules_lie_flat_in_the_core() -> None:
    assert {path.stem for path in (ROOT / "qwenvl_core").glob("*.py")} == FLAT


def test_every_owner_is_there_and_needs_what_it_owns() -> None:
    for library, owners in OWNERS.items():
        for owner in owners:
            assert any(name.partition(".")[0] == library for name, _ in imports(ROOT / owner)), (library, owner)


def test_the_core_can_be_imported_without_any_framework_or_sdk() -> None:
    """Every module of the core but the transports, those that open files, and the base of the chat models."""
    left_out = (
        *AT_ONCE,
        "qwenvl_core/client/config.py",
        "qwenvl_core/client/connection_config.py",
        "qwenvl_core/client/retrieval_config.py",
    )
    names = [
        name_of(path).removesuffix(".py").removesuffix("/__init__").replace("/", ".")
        for path in CORE
        if name_of(path) not in left_out and "transport" not in path.parts
    ]
    assert packages(loaded_by(tuple(names))) == {"qwenvl_core", "jiter"}


@per_module
def test_module_runs_no_model_output(path: Path) -> None:
    """No code from text, and no format that can hold code."""
    names = {name for name, _ in imports(path)}
    assert not names & {"ast", "code", "marshal", "pickle", "shelve", "subprocess", "yaml"}
    called = [node.func for node in ast.walk(tree_of(path)) if isinstance(node, ast.Call)]
    plain = {func.id for func in called if isinstance(func, ast.Name)}
    assert not plain & {"eval", "exec", "compile", "__import__"}
    assert not {ast.unparse(func) for func in called} & {"os.system", "os.popen"}


# --- what an import loads ---------------------------------------------------------------------------------------------

FRAMEWORKS = {
    "langchain_qwenvl": "langchain_core.language_models.chat_models",
    "llama_index_qwenvl": "llama_index.core.llms.function_calling",
}
OTHER = {
    "langchain_qwenvl": {"llama_index", "llama_index_qwenvl"},
    "llama_index_qwenvl": {"langchain_core", "langchain_qwenvl"},
}


@cache
def loaded_by(modules: tuple[str, ...], *, after: str = "sys") -> frozenset[str]:
    """What importing `modules` in a fresh interpreter loads, that importing `after` has not loaded already."""
    code = (
        "import importlib, json, sys\n"
        f"importlib.import_module({after!r})\n"
        "before = set(sys.modules)\n"
        f"for name in {modules!r}: importlib.import_module(name)\n"
        "print(json.dumps(sorted(set(sys.modules) - before)))\n"
    )
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return frozenset(json.loads(done.stdout.splitlines()[-1]))


def packages(modules: frozenset[str]) -> set[str]:
    return {name.partition(".")[0] for name in modules} - set(sys.stdlib_module_names)


@per_adapter
def test_importing_an_adapter_loads_nothing_beyond_its_framework(package: str) -> None:
    loaded = loaded_by((package,), after=FRAMEWORKS[package])
    assert packages(loaded) - {package, FRAMEWORKS[package].partition(".")[0]} == {"qwenvl_core"}
    # Pillow may be the framework's own import; PDFs, wires and transports are nobody's.
    assert not loaded & {
        "PIL.ImageDraw",
        "qwenvl_core.client.client",
        "qwenvl_core.wire",
        "qwenvl_core.wire.sse",
    }
    assert {name for name in loaded if name.startswith("qwenvl_core.transport.")} <= {
        "qwenvl_core.transport.connection"
    }
    assert not {name for name in loaded if name.startswith("qwenvl_core.rendering")}
    assert not packages(loaded) & OTHER[package]


# --- wire shapes ------------------------------------------------------------------------------------------------------

SHAPES = {
    "choices", "delta", "incremental_output", "result_format", "stream_options", "include_usage", "reasoning_content",
    "tool_calls", "tool_call_id", "prompt_tokens", "completion_tokens", "prompt_tokens_details",
    "completion_tokens_details", "input_tokens_details", "output_tokens_details",
    "image_url", "video_url", "cache_control", "ephemeral", "search_info", "upload_dir", "getPolicy",
}  # fmt: skip
"""Keys and words of JSON bodies and events that mean nothing elsewhere in the core."""

OF_THE_PIPELINE = {
    "output",
    "input",
    "finish_reason",
    "input_tokens",
    "output_tokens",
    "total_tokens",
    "reasoning_tokens",
    "cached_tokens",
    "usage",
    "messages",
    "request_id",
}
"""Those that are also public names of the loaders, and so are allowed there."""

OF_NO_ADAPTER = {
    "choices",
    "incremental_output",
    "result_format",
    "stream_options",
    "include_usage",
    "prompt_tokens_details",
    "completion_tokens_details",
    "input_tokens_details",
    "output_tokens_details",
    "search_info",
    "ephemeral",
}
"""Those that are no word of a framework either."""


def strings(path: Path) -> set[str]:
    """The string constants of a module, its docstrings excepted."""
    tree = tree_of(path)
    documented = (ast.Module, ast.ClassDef, ast.FunctionDef, ast.AsyncFunctionDef)
    docstrings = {
        id(statement.value)
        for node in ast.walk(tree)
        if isinstance(node, documented)
        for statement in node.body
        if isinstance(statement, ast.Expr)
    }
    return {
        node.value
        for node in ast.walk(tree)
        if isinstance(node, ast.Constant) and isinstance(node.value, str) and id(node) not in docstrings
    }


@per_module
def test_wire_shapes_are_spelled_only_in_the_wire(path: Path) -> None:
    package, *folders = path.relative_to(ROOT).parts
    if package != "qwenvl_core":
        forbidden = OF_NO_ADAPTER
    elif folders[0] == "wire":
        return
    else:
        forbidden = SHAPES if folders[0] == "documents" else SHAPES | OF_THE_PIPELINE
    assert not strings(path) & forbidden


def test_the_words_that_are_looked_for_are_those_of_the_wire() -> None:
    spelled = set[str]().union(*(strings(path) for path in CORE if "wire" in path.parts))
    assert spelled >= SHAPES | OF_THE_PIPELINE


# --- names ------------------------------------------------------------------------------------------------------------

EXPORTS = {
    "qwenvl_core": ["__version__"],
    "langchain_qwenvl": [
        "ChatQwenVL", "Citation", "QwenVLAPIError", "QwenVLArrearageError", "QwenVLAuthenticationError",
        "QwenVLConnectionError", "QwenVLContentFilterError", "QwenVLContextOverflowError", "QwenVLEmbeddings",
        "QwenVLError", "QwenVLInputError", "QwenVLInputOverflowError", "QwenVLInvalidRequestError", "QwenVLLoader",
        "QwenVLMissingKeyError", "QwenVLModelNotFoundError",
        "QwenVLNotFoundError", "QwenVLOutputError", "QwenVLParser", "QwenVLPermissionDeniedError",
        "QwenVLQuotaExceededError", "QwenVLRateLimitError", "QwenVLReranker", "QwenVLStreamInterruptedError",
        "QwenVLTimeoutError",
        "citation", "highlight",
    ],
    "llama_index_qwenvl": [
        "Citation", "QwenVL", "QwenVLEmbedding", "QwenVLError", "QwenVLReader", "QwenVLRerank", "citation", "highlight",
        "video", "video_frames",
    ],
}  # fmt: skip


@per_package
def test_exported_names(package: str) -> None:
    module = importlib.import_module(package)
    assert sorted(module.__all__) == sorted(EXPORTS[package])
    for name in module.__all__:
        assert getattr(module, name) is not None
    with pytest.raises(AttributeError):
        module.NoSuchName  # noqa: B018


SIGNATURES = {
    ("tokens", "smart_resize"): "height, width, *, factor, min_pixels, max_pixels",
    ("tokens", "image_tokens"): "width, height, model, *, max_pixels=None, vl_high_resolution_images=False",
    ("tokens", "video_tokens"): "width, height, n_frames, video_fps, model, *, fps=2.0",
    ("grounding", "parse_grounding"): "text, *, space='auto', size=None, truncated=False",
    ("grounding", "ocr_boxes"): "ocr_result, *, size",
    ("grounding", "draw"): "image, items, *, labels=True",
    ("grounding", "crop"): "image, box, margin=0.01",
    ("layout", "parse_layout"): "text, *, space='auto', size=None, format='auto'",
}


@pytest.mark.parametrize(("module", "name"), SIGNATURES)
def test_fixed_signatures(module: str, name: str) -> None:
    function = getattr(importlib.import_module(f"qwenvl_core.{module}"), name)
    bare = [one.replace(annotation=one.empty) for one in inspect.signature(function).parameters.values()]
    assert str(inspect.Signature(bare)) == f"({SIGNATURES[module, name]})"


FIELDS = {
    ("grounding", "Box"): ("x0", "y0", "x1", "y1"),
    ("grounding", "Grounded"): ("kind", "label", "box", "points", "values", "attributes"),
    ("layout", "PageLayout"): ("elements", "markdown", "truncated", "warnings"),
    ("layout", "LayoutElement"): ("type", "text", "html", "latex", "box", "index"),
}


@pytest.mark.parametrize(("module", "name"), FIELDS)
def test_fixed_fields(module: str, name: str) -> None:
    cls: Any = getattr(importlib.import_module(f"qwenvl_core.{module}"), name)
    assert set(FIELDS[module, name]) <= set(inspect.signature(cls).parameters)


def test_fixed_methods_of_a_box() -> None:
    from qwenvl_core.grounding import Box

    assert callable(Box.to_pixels)
    assert callable(Box.union)


# --- files ------------------------------------------------------------------------------------------------------------


@per_module
def test_files_are_small(path: Path) -> None:
    assert len(path.read_text("utf-8").splitlines()) <= 400


@per_module
def test_files_say_what_they_are(path: Path) -> None:
    assert ast.get_docstring(tree_of(path))


@per_package
def test_types_are_published(package: str) -> None:
    assert (ROOT / package / "py.typed").is_file()


MACHINE_PATH = re.compile(r"(?<![\w.:/-])/(?:home/[\w.-]+/[\w.-]+/|Users/[\w.-]+/|root/|work/|mnt/)|[A-Z]:\\\\?Users\\")
KEY = re.compile(r"sk-[A-Za-z0-9]{20,}")
TEXTS = {".py", ".md", ".toml", ".yaml", ".yml", ".txt", ".sh", ".json", ".cfg", ""}


def our_files() -> Iterator[Path]:
    """What the project consists of: not what tools leave behind."""
    left_behind = {".git", *(ROOT / ".gitignore").read_text("utf-8").split()}  # .git is a file in a worktree
    for path in sorted(ROOT.iterdir()):
        if path.name in left_behind:
            continue
        if path.is_file():
            yield path
        elif not path.name.startswith(".") or path.name in (".ci", ".github"):
            yield from (file for file in path.rglob("*") if file.is_file() and "__pycache__" not in file.parts)


def test_no_paths_of_a_machine_and_no_keys() -> None:
    found = []
    for path in our_files():
        if path.suffix not in TEXTS or path == Path(__file__).resolve():
            continue
        text = path.read_text("utf-8")
        found += [(name_of(path), match) for match in (*MACHINE_PATH.findall(text), *KEY.findall(text))]
    assert found == []


def test_what_is_looked_for_would_be_found() -> None:
    assert MACHINE_PATH.search('path = "/' + 'home/someone/project/file"')
    assert not MACHINE_PATH.search("https://example.com/home/page")
    assert KEY.search("sk-" + "a1" * 10)


EXTRAS = {
    "langchain": {"langchain_core"},
    "llama-index": {"llama_index"},
    "dashscope": {"dashscope", "httpx"},
    "documents": {"PIL", "pypdfium2", "tqdm"},
    "video": {"av"},
}
"""What each extra installs, by import name. numpy is imported only for arrays that a caller's own numpy saved."""

DISTRIBUTIONS = {"PIL": "pillow", "typing_extensions": "typing-extensions"}
"""Distributions whose name is not their import name with hyphens."""


def third_party_imports() -> set[str]:
    names = {name.partition(".")[0] for path in MODULES for name, _ in imports(path)}
    return names - set(sys.stdlib_module_names) - set(PACKAGES) - {"numpy"}


def test_dependencies_declare_every_direct_import() -> None:
    """A plain installation brings what the core needs; every other direct import is in an extra."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))["project"]
    declared = {
        extra: {re.split(r"[<>=!~\[ ]", requirement)[0] for requirement in requirements}
        for extra, requirements in project["optional-dependencies"].items()
    }
    required = {re.split(r"[<>=!~\[ ]", requirement)[0] for requirement in project["dependencies"]}
    for extra, names in EXTRAS.items():
        expected = {DISTRIBUTIONS.get(name, name.replace("_", "-")) for name in names}
        assert {name.removesuffix("-core") for name in declared[extra]} == {
            name.removesuffix("-core") for name in expected
        }, extra
    optional = set().union(*EXTRAS.values())
    expected = {DISTRIBUTIONS.get(name, name.replace("_", "-")) for name in third_party_imports() - optional}
    assert required == expected
