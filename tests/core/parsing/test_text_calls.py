"""Read tool calls that a model wrote as text."""

from __future__ import annotations

import json
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from qwenvl_core.parsing.text_calls import TextCallReader, read_text_call

NAMES = ("crop", "发票")
ARGUMENTS = {"box": [0, 1], "label": 'a "}" b'}
JSON = json.dumps({"name": "crop", "arguments": ARGUMENTS})

CALLS = [
    f"<tool_call>\n{JSON}\n</tool_call>",
    f"\n<tool_call>{JSON}</tool_call>\n",
    f"call\n{JSON}",
    f"call{JSON}\n",
    JSON,
    json.dumps({"arguments": ARGUMENTS, "name": "crop"}, indent=1),
]


@pytest.mark.parametrize("text", CALLS)
def test_call_of_each_form_is_read_in_one_piece_and_in_many(text: str) -> None:
    call = read_text_call(text, NAMES)
    assert call is not None
    assert (call.name, json.loads(call.arguments)) == ("crop", ARGUMENTS)
    reader = TextCallReader(NAMES)
    assert all(reader.push(character) for character in text)
    assert reader.read() == call


@pytest.mark.parametrize(
    ("text", "arguments"),
    [
        ('<tool_call>{"name": "crop"}</tool_call>', "{}"),
        ('<tool_call>{"name": "crop", "arguments": null}</tool_call>', "{}"),
        ('call {"name": "发票", "arguments": {}}', "{}"),
        ('{"name": "crop", "arguments": {}}', "{}"),
    ],
)
def test_call_without_arguments_has_an_empty_object(text: str, arguments: str) -> None:
    call = read_text_call(text, NAMES)
    assert call is not None
    assert call.arguments == arguments


@pytest.mark.parametrize(
    "text",
    [
        "",
        "call me later",
        "I would call crop.",
        f"I call:\n{CALLS[0]}",
        f"{CALLS[0]}\nThere.",
        CALLS[0] + CALLS[0],
        CALLS[0].removesuffix("</tool_call>"),
        '<tool_call>{"name": "crop", "arguments": {"a": 1}',
        '<tool_call>{"name": "zoom", "arguments": {}}</tool_call>',
        '{"name": "crop"}',
        '{"name": "crop", "arguments": [1]}',
        '{"name": "crop", "arguments": "{}"}',
        '{"name": "crop", "arguments": {}, "id": 1}',
        '{"name": "Bob", "age": 3}',
        '{"answer": 1}',
        "```json\n" + JSON + "\n```",
    ],
)
def test_other_text_is_no_call(text: str) -> None:
    assert read_text_call(text, NAMES) is None


@pytest.mark.parametrize(
    ("text", "released"),
    [
        ("Hello", "H"),
        ("cat", "cat"),
        ("calling", "calli"),
        ("call me", "call m"),
        ('{"answer": 1}', '{"an'),
        ('{"a": 1}', '{"a"'),
        ('{"name": "Bob"}', '{"name": "B'),
        ('{"name": "crop"}', '{"name": "crop"}'),
        ("<table>", "<ta"),
        ('<tool_call>{"name": "zoom"', '<tool_call>{"name": "z'),
        (JSON + " so", JSON + " s"),
    ],
)
def test_text_is_held_back_only_while_it_can_become_a_call(text: str, released: str) -> None:
    reader = TextCallReader(NAMES)
    held = ""
    for character in text:
        held += character
        if not reader.push(character):
            break
    assert held == released
    assert reader.text == held


@given(st.sampled_from(CALLS), st.lists(st.integers(0, 99), max_size=5), st.integers(0, 99))
def test_pieces_give_the_same_as_the_whole(text: str, offsets: list[int], end: int) -> None:
    text = text[: max(1, end)]
    bounds = [0, *sorted(min(offset, len(text)) for offset in offsets), len(text)]
    reader = TextCallReader(NAMES)
    is_held = all([reader.push(text[start:stop]) for start, stop in pairwise(bounds)])
    assert is_held == TextCallReader(NAMES).push(text)
    assert (reader.read() if is_held else None) == read_text_call(text, NAMES)
