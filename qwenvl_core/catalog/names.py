r"""Bring names of models, as people and servers write them, to the spelling of the catalog.

```
Qwen/Qwen3-VL-8B-Instruct           an organisation in front, as on Hugging Face and OpenRouter
C:\models\Qwen3.5-27B-Q4_K_M.gguf   a file, a folder
qwen2.5vl:7b                        a tag, as at Ollama
Qwen/Qwen3.5-27B@refs/pr/1          a revision
models--Qwen--Qwen3.5-27B           a folder of the Hugging Face cache
us.qwen.qwen3-vl-235b-a22b          a vendor in front, as at Bedrock
qwen-3.8-27b, qwen3-5-27b, qwen3p7-plus, qwen3vl
```
"""

from __future__ import annotations

import re

_REVISION = re.compile(r"(?<=[^/\\])@(refs[/\\]pr[/\\]\d+|[^@/\\]+)$")
_NOT_A_NAME = re.compile(r"snapshots|tree|main|[0-9a-f]{12,64}|checkpoint-\d+")
"""Folders below that of the model: in the Hugging Face cache and its web pages, and of a training run."""
_WEIGHTS_FILE = re.compile(r"(-\d{5}-of-\d{5})?\.gguf$")
_ORGANISATION = re.compile(r"^(models--)?(.+--)?(qwen[-_])?(?=qwen\d|qwen-|qvq-)")
"""An organisation that a folder's name holds, with `--` or, at some hosts, `-` for the slash."""
_VENDOR = re.compile(r"^([a-z]+\.)?qwen\.(?=q)")
_SEPARATORS = re.compile(r"[\s_:]+|\.(?=[a-z])")
_SPELLINGS: tuple[tuple[re.Pattern[str], str], ...] = (
    (re.compile(r"^qwen-(?=\d)"), "qwen"),  # qwen-3.8-27b
    (re.compile(r"^qwen(\d{1,2})p(\d{1,2})(?=-|vl|$)"), r"qwen\1.\2"),  # qwen3p7-plus
    # qwen3-5-27b; 4 and 8 before "bit" are a quantisation.
    (re.compile(r"^qwen(\d)-(\d{1,2})(?=-|$)(?!-bit)"), r"qwen\1.\2"),
    (re.compile(r"^qwen(2)(5)(?=-|vl|$)"), r"qwen\1.\2"),  # qwen25-vl
    (re.compile(r"^qwen(3)([5-9])(?=-|vl|$)"), r"qwen\1.\2"),  # qwen35-27b
    (re.compile(r"^(qwen[\d.]+)vl(?=-|$)"), r"\1-vl"),  # qwen3vl
)
_SIBLINGS = frozenset(
    (
        *("coder", "code", "math", "mt", "translate", "livetranslate", "character", "intent", "doc"),
        *("tts", "asr", "s2s", "audio", "speech", "voice", "vc", "vd", "filetrans", "realtime", "music", "captioner"),
        *("embedding", "embeddings", "rerank", "reranker", "aligner", "forcedaligner", "tokenizer"),
        *("image", "edit", "layered", "video", "t2i", "t2v", "i2v", "3d"),
        *("guard", "moderation", "reward", "rm", "prm", "search", "research", "deepresearch"),
    )
)
"""Parts of the names of models that share a version number with vision chat models, but are none."""
_VARIANTS = ("instruct", "thinking")
_FAMILY = re.compile(r"^qwen(\d{1,2})(?:\.(\d{1,2}))?(?=-|$)")


def canonicalize(name: str) -> str:
    """Return a name in the spelling of the catalog: `qwen3.8-27b`, `qwen3-vl-8b-instruct-q4-k-m`.

    Args:
        name: Any string.

    Returns:
        The last part of a path that names a model, in lower case, with `-` between its words.
    """
    text = _REVISION.sub("", name.strip().lower().rstrip("/\\"))
    parts = [part for part in re.split(r"[/\\]", text) if part.strip()]
    while len(parts) > 1 and _NOT_A_NAME.fullmatch(parts[-1]):
        parts.pop()
    key = parts[-1].strip() if parts else ""
    key = _ORGANISATION.sub("", _WEIGHTS_FILE.sub("", key))
    key = _SEPARATORS.sub("-", _VENDOR.sub("", key)).strip("-")
    for pattern, spelling in _SPELLINGS:
        key = pattern.sub(spelling, key)
    return key


def is_service_name(name: str) -> bool:
    """Return whether a name is spelled as Model Studio spells it; other names belong to other servers."""
    return name == canonicalize(name)


def is_sibling(key: str) -> bool:
    """Return whether a canonical name belongs to a model of another kind, such as speech, code or embeddings.

    Words behind `instruct` or `thinking` are those of a fine-tune: they may have any meaning.
    """
    for part in key.split("-"):
        if part in _VARIANTS:
            return False
        if part in _SIBLINGS:
            return True
    return False


def parse_version(key: str) -> tuple[int, int] | None:
    """Return the version of a canonical name, `(3, 8)` for `qwen3.8-plus`; `None` if it begins with none."""
    match = _FAMILY.match(key)
    return (int(match[1]), int(match[2] or 0)) if match else None
