"""A folder of scanned PDFs, read in parallel with Dask: one JSON line for each page.

```
python -m examples.folder_with_dask scans/ read/
```

Each PDF becomes `read/<name>.jsonl` as soon as all of its pages are read. Run it again after a failure: files that are
there are left alone, and pages that were answered are not asked for again.
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
    """Read one PDF, and say how it went. The parser keeps no state, so Dask may run this in any process."""
    lines = folder / f"{pdf.stem}.jsonl"
    if lines.exists():
        return f"{pdf.name}: there already"
    unfinished = lines.with_suffix(f".{os.getpid()}")
    try:
        with unfinished.open("w", encoding="utf-8") as file:
            for page in parser.lazy_parse(Blob.from_path(pdf)):
                file.write(json.dumps({"text": page.page_content, **page.metadata}, ensure_ascii=False) + "\n")
        unfinished.replace(lines)
    except QwenVLError as error:
        return f"{pdf.name}: {error}"
    finally:
        unfinished.unlink(missing_ok=True)
    return f"{pdf.name}: read"


def main(scans: Path, folder: Path) -> list[str]:
    """Read all PDFs of a folder into another, and print how it went; return what was printed."""
    folder.mkdir(parents=True, exist_ok=True)
    pdfs = sorted(scans.glob("*.pdf"))
    # The key is not part of the parser: each process takes it from its environment.
    parser = QwenVLParser(llm=ChatQwenVL(enable_thinking=False), output="markdown", cache_dir=folder / "answers")
    bag = dask.bag.from_sequence(pdfs, npartitions=max(1, len(pdfs)))
    done = bag.map(read, folder=folder, parser=parser).compute()
    print("\n".join(done))
    return done


if __name__ == "__main__":
    main(Path(sys.argv[1]), Path(sys.argv[2]))
