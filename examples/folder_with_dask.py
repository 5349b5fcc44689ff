"""Read a folder of scanned PDFs in parallel with Dask, and write one JSON line for each page.

```
python -m examples.folder_with_dask scans/ read/
```

Each PDF becomes `read/<name>.jsonl` as soon as all of its pages are read. Run it again after a failure: PDFs that have
their file are skipped, and pages that were transcribed before come from the cache.
"""

import json
import os
import sys
from pathlib import Path

import dask.bag
from langchain_core.documents.base import Blob

from langchain_qwenvl import ChatQwenVL, QwenVLParser
from qwenvl_core.errors import QwenVLError


def read(pdf: Path, folder: Path, parser: QwenVLParser) -> str:
    """Read one PDF and return its status. The parser keeps no state, so Dask may run this in any process."""
    output = folder / f"{pdf.stem}.jsonl"
    if output.exists():
        return f"{pdf.name}: skipped, it was read before"
    unfinished = output.with_suffix(f".{os.getpid()}")
    try:
        with unfinished.open("w", encoding="utf-8") as file:
            for page in parser.lazy_parse(Blob.from_path(pdf)):
                file.write(json.dumps({"text": page.page_content, **page.metadata}, ensure_ascii=False) + "\n")
        unfinished.replace(output)
    except QwenVLError as error:
        return f"{pdf.name}: {error}"
    finally:
        unfinished.unlink(missing_ok=True)
    return f"{pdf.name}: read"


def main(scans: Path, folder: Path) -> list[str]:
    """Read all PDFs of the folder `scans` into `folder`; print and return the status of each."""
    folder.mkdir(parents=True, exist_ok=True)
    pdfs = sorted(scans.glob("*.pdf"))
    # The parser is pickled without its key: each process reads the key from its environment.
    parser = QwenVLParser(llm=ChatQwenVL(enable_thinking=False), output="markdown", cache_dir=folder / "answers")
    bag = dask.bag.from_sequence(pdfs, npartitions=max(1, len(pdfs)))
    statuses: list[str] = bag.map(read, folder=folder, parser=parser).compute()
    print("\n".join(statuses))
    return statuses


if __name__ == "__main__":
    main(Path(sys.argv[1]), Path(sys.argv[2]))
