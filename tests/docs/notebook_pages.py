"""Show the notebooks in the documentation: a hook of mkdocs that turns each file of `docs/notebooks/` into a page.

A page holds the cells with their outputs; pictures are files of their own. The notebook itself can be downloaded.
Nothing is loaded from other hosts, and nothing that only a browser with scripts would show.
"""

from __future__ import annotations

import base64
import re
from collections.abc import Iterator
from typing import Any

import nbformat
from mkdocs.config.defaults import MkDocsConfig
from mkdocs.structure.files import File, Files

from tests.docs.notebook_kernel import execute_all, has_picture, read_text
from tests.support.notebook_scenarios import NOTEBOOKS
from tests.support.vcr_config import provenance_of


class NotebookFile(File):
    """A notebook whose page is written in Markdown."""

    def is_documentation_page(self) -> bool:
        """Return that a page is made of the file, although its name does not end in `.md`."""
        return True


def on_files(files: Files, config: MkDocsConfig) -> Files:
    """Replace each notebook by its page, its pictures, and the file to download."""
    for name, document in execute_all(NOTEBOOKS.values()).items():
        source = f"notebooks/{name}.py"
        files.remove(files.get_file_from_path(source))
        page = NotebookFile(source, None, config.site_dir, config.use_directory_urls, dest_uri=f"notebooks/{name}.html")
        page.content_string = render_page(name, document)
        files.append(page)
        files.append(File.generated(config, f"notebooks/{name}.ipynb", content=nbformat.writes(document)))
        for number, picture in enumerate(find_pictures(document), 1):
            files.append(File.generated(config, f"notebooks/{name}/{number}.png", content=picture))
    return files


def find_pictures(document: nbformat.NotebookNode) -> Iterator[bytes]:
    """Yield the pictures of a notebook's outputs."""
    for cell in document.cells:
        for output in cell.get("outputs", ()):
            if has_picture(output):
                yield base64.b64decode(output.data["image/png"])


def render_page(name: str, document: nbformat.NotebookNode) -> str:
    """Convert a notebook with its outputs to Markdown, with links to its pictures and to its file."""
    download = f"[Download this notebook]({name}.ipynb){{ download }}"
    source = "a live model" if provenance_of(NOTEBOOKS[name].cassette) == "live" else "the project's emulator"
    parts, pictures = [], 0
    for cell in document.cells:
        if cell.cell_type == "markdown":
            parts.append(cell.source)
            continue
        parts.append(_fence(cell.source, "python"))
        for output in cell.outputs:
            if has_picture(output):
                pictures += 1
                parts.append(f"![Picture {pictures} of the outputs]({name}/{pictures}.png){{ .output }}")
            else:
                parts.append(_fence(read_text(output), "{ .text .output }"))
    heading, _, rest = "\n\n".join(parts).partition("\n")
    return f"{heading}\n\n{download} (outputs recorded from {source})\n{rest}\n"


def _fence(text: str, header: str) -> str:
    """Put a text into a fence that is longer than any within it."""
    longest = max((len(run) for run in re.findall("`+", text)), default=0)
    fence = "`" * max(3, longest + 1)
    return f"{fence}{header}\n{text.strip(chr(10))}\n{fence}"


def on_page_markdown(markdown: str, page: Any, **_: Any) -> str:
    """Leave out the button for editing of notebooks, which are no Markdown files."""
    if isinstance(page.file, NotebookFile):
        page.edit_url = None
    return markdown
