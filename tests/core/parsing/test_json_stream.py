"""Split answers into JSON and words: whole and in pieces."""

from __future__ import annotations

import json
from itertools import pairwise
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from qwenvl_core.parsing.json_stream import JsonSplitter

TEXT = '{"a": "x } ] \\" ```", "b": [1, {"c": {}}]}'
VALUE = json.loads(TEXT)


def split(*pieces: str, types: tuple[type, ...] = (dict,)) -> JsonSplitter:
    splitter = JsonSplitter(types)
    passed = "".join(splitter.push(piece) for piece in pieces)
    assert passed == splitter.json_text
    return splitter


ANSWERS: list[tuple[str, tuple[type, ...], str, str, Any]] = [
    # text, accepted types, words before, words after, value
    (TEXT, (dict,), "", "", VALUE),
    (f" \n{TEXT}\n", (dict,), "", "", VALUE),
    (f"```json\n{TEXT}\n```", (dict,), "", "", VALUE),
    (f"```\n{TEXT}\n```", (dict,), "", "", VALUE),
    (f"```JSON {TEXT}```", (dict,), "", "", VALUE),
    (f"```json\n{TEXT}", (dict,), "", "", VALUE),
    (f"Here {{it}} is:\n```json\n{TEXT}\n```\nDone.", (dict,), "Here {it} is:", "Done.", VALUE),
    (f"```python\nprint(1)\n```\n```json\n{TEXT}\n```", (dict,), "```python\nprint(1)\n```", "", VALUE),
    (f"{TEXT}\nDone.", (dict,), "", "Done.", VALUE),
    ('{"a": "first\nsecond"}', (dict,), "", "", {"a": "first\nsecond"}),
    ("[1, [2]]", (list,), "", "", [1, [2]]),
    ('```json\n[{"bbox_2d": [1, 2, 3, 4]}]\n```', (dict, list), "", "", [{"bbox_2d": [1, 2, 3, 4]}]),
    ("{}", (dict,), "", "", {}),
    ("[]", (list,), "", "", []),
]


@pytest.mark.parametrize(("text", "types", "before", "after", "value"), ANSWERS)
def test_answer_is_split_at_any_piece_length(
    text: str, types: tuple[type, ...], before: str, after: str, value: Any
) -> None:
    for length in (1, 2, 3, 7, len(text)):
        splitter = split(*[text[start : start + length] for start in range(0, len(text), length)], types=types)
        assert (splitter.words_before.strip(), splitter.words_after.strip()) == (before, after)
        assert splitter.parse() == value
        assert splitter.has_ended


@pytest.mark.parametrize(
    ("text", "types", "reason"),
    [
        ("", (dict,), "empty"),
        (" \n", (dict,), "empty"),
        ("No.", (dict,), "no JSON"),
        (f"Sure: {TEXT}", (dict,), "no JSON"),
        ("[1]", (dict,), "no JSON"),
        ("{name} is a placeholder", (dict,), "no JSON"),
        ("[Note] It is red.", (dict, list), "no JSON"),
        ("```\n{x for x in y}\n```", (dict,), "no JSON"),
        (TEXT + TEXT, (dict,), "further values"),
        (f"```json\n{TEXT}\n```\n```json\n{TEXT}\n```", (dict,), "further values"),
        ('{"a": 1', (dict,), "delimiter"),
        ('{"a": }', (dict,), "Expecting value"),
        ("[" * 100_000, (list,), "nested too deeply"),
    ],
)
def test_answer_without_one_value_raises(text: str, types: tuple[type, ...], reason: str) -> None:
    with pytest.raises(ValueError, match=reason):
        split(text, types=types).parse()


@given(st.text(alphabet='{}[]"\\` \njson:1,a', max_size=60), st.lists(st.integers(0, 60), max_size=6))
def test_pieces_give_the_same_as_the_whole(text: str, offsets: list[int]) -> None:
    bounds = [0, *sorted(min(offset, len(text)) for offset in offsets), len(text)]
    pieces = [text[start:end] for start, end in pairwise(bounds)]
    for types in ((dict,), (list,), (dict, list)):
        whole, cut = split(text, types=types), split(*pieces, types=types)
        assert (cut.has_begun, cut.has_ended, cut.json_text) == (whole.has_begun, whole.has_ended, whole.json_text)
        assert (cut.words_before, cut.words_after) == (whole.words_before, whole.words_after)


@pytest.mark.parametrize("piece", [" ", "`", "```json ", "{", "a", "``` "])
def test_hostile_pieces_take_linear_time(piece: str) -> None:
    splitter = JsonSplitter((dict, list))
    for _ in range(20_000):
        splitter.push(piece)
    assert len(splitter.words_before + splitter.json_text) <= 20_000 * len(piece)
