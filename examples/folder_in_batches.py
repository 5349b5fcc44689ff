"""Read a folder of scanned PDFs as batch files, at half the price, and write one JSON line for each page.

```
python -m examples.folder_in_batches submit scans/ read/     # returns as soon as the pages are submitted
python -m examples.folder_in_batches collect scans/ read/    # hours later, in another process
```

Run either again after a failure: nothing is submitted or paid for twice. Pages that failed are named on the second run
of `collect`, and the next `submit` submits them alone.
"""

import json
import sys
from pathlib import Path

from langchain_qwenvl import ChatQwenVL, QwenVLLoader


def build_loader(pdf: Path, folder: Path) -> QwenVLLoader:
    """Build the loader of a PDF; all loaders share one cache, which keeps the ids of the batches."""
    llm = ChatQwenVL(enable_thinking=False)
    return QwenVLLoader(pdf, llm=llm, output="markdown", cache_dir=folder / "answers", on_error="skip")


def submit(scans: Path, folder: Path) -> None:
    """Submit the pages of all PDFs of the folder `scans` that were not read before."""
    for pdf in sorted(scans.glob("*.pdf")):
        job = build_loader(pdf, folder).submit_batch()
        print(f"{pdf.name}: waits in {', '.join(job.ids) or 'no batch'}")


def collect(scans: Path, folder: Path) -> None:
    """Wait for the batches, and write `<name>.jsonl` for each PDF; loading asks no model."""
    for pdf in sorted(scans.glob("*.pdf")):
        loader = build_loader(pdf, folder)
        loader.collect_batch(wait=True, progress=print)
        with (folder / f"{pdf.stem}.jsonl").open("w", encoding="utf-8") as file:
            for page in loader.lazy_load():
                file.write(json.dumps({"text": page.page_content, **page.metadata}, ensure_ascii=False) + "\n")
        failures = [f"page {number}: {error}" for number, error in loader.failures]
        print(f"{pdf.name}: read", *failures, sep="\n  ")


if __name__ == "__main__":
    {"submit": submit, "collect": collect}[sys.argv[1]](Path(sys.argv[2]), Path(sys.argv[3]))
