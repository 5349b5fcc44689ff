"""Find the JSON in an answer: bare, in code fences, and amid prose."""

from __future__ import annotations

import contextlib
import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from qwenvl_core.parsing.json_answer import find_json_object, parse_json_answer
from tests.support.timing import measure_seconds

OBJECT = '{"a": 1, "b": [true, null]}'
VALUE = {"a": 1, "b": [True, None]}
WITH_FENCE = {"code": "```py\nprint(1)\n```", "label": "```json"}

DEEP = "[" * 100_000


@pytest.mark.parametrize(
    "text",
    [
        pytest.param(OBJECT, id="bare"),
        pytest.param(f"\n  {OBJECT}\r\n", id="white space around it"),
        pytest.param(f"```json\n{OBJECT}\n```", id="labelled fence"),
        pytest.param(f"```JSON {OBJECT}```", id="labelled fence on one line"),
        pytest.param(f"```\n{OBJECT}\n```", id="unlabelled fence"),
        pytest.param(f"```json\n{OBJECT}", id="fence without an end"),
        pytest.param(f"```json\r\n{OBJECT}\r\n```", id="Windows line ends"),
        pytest.param(f"Here it is:\n\n```json\n{OBJECT}\n```\nAnything else?", id="fence amid prose"),
        pytest.param(f"```json\n{{'a'}}\n```\nor rather\n```json\n{OBJECT}\n```", id="second fence after a broken one"),
        pytest.param(f"```\n\n```\n```json\n{OBJECT}\n```", id="second fence after an empty one"),
        pytest.param(f"```json\n{OBJECT}\n```\n```json\n[]\n```", id="first of two fences"),
    ],
)
def test_parse_json_answer_finds_the_object(text: str) -> None:
    assert parse_json_answer(text) == VALUE
    assert parse_json_answer(text, dict) == VALUE


@pytest.mark.parametrize("indent", [None, 2])
@pytest.mark.parametrize("wrap", ["{}", "```json\n{}\n```", "```\n{}", "So:\n```json\n{}\n```\nDone."])
def test_parse_json_answer_ignores_fences_inside_strings(wrap: str, indent: int | None) -> None:
    text = wrap.replace("{}", json.dumps(WITH_FENCE, indent=indent))
    assert parse_json_answer(text, dict) == WITH_FENCE


@pytest.mark.parametrize(
    ("text", "expected"),
    [("[1, 2]", [1, 2]), ("```json\n[1]\n```", [1]), ("7", 7), ('"word"', "word"), ("```\nnull\n```", None)],
)
def test_parse_json_answer_without_types_accepts_arrays_and_scalars(text: str, expected: object) -> None:
    assert parse_json_answer(text) == expected


def test_parse_json_answer_skips_values_of_other_types() -> None:
    assert parse_json_answer(f"```json\n[1]\n```\n```json\n{OBJECT}\n```", dict) == VALUE
    assert parse_json_answer("```json\n[1]\n```", dict, list) == [1]
    with pytest.raises(ValueError, match="found list, expected dict or str"):
        parse_json_answer("[1]", dict, str)


def test_parse_json_answer_accepts_control_characters_in_strings() -> None:
    assert parse_json_answer('{"a": "two\nlines\tand a tab"}', dict) == {"a": "two\nlines\tand a tab"}
    assert parse_json_answer('```json\n{"a": "two\nlines"}\n```', dict) == {"a": "two\nlines"}


@pytest.mark.parametrize(
    "text",
    [
        pytest.param("", id="empty"),
        pytest.param("No.", id="prose"),
        pytest.param(f"The answer is {OBJECT}.", id="object amid prose"),
        pytest.param(OBJECT[:-1], id="cut"),
        pytest.param(f"```json\n{OBJECT[:-1]}", id="cut in a fence"),
        pytest.param("```json\n{'a': 1}\n```", id="Python quotes"),
        pytest.param(f"```json\n{OBJECT} and more\n```", id="prose in the fence"),
        pytest.param(f"```python\n{OBJECT}\n```", id="fence of another language"),
        pytest.param("```json\n```", id="empty fence"),
        pytest.param("```", id="fence at the end"),
        pytest.param(DEEP, id="nested too deeply"),
        pytest.param(f"```json\n{DEEP}\n```", id="nested too deeply in a fence"),
        pytest.param("9" * 10_000, id="too many digits"),
    ],
)
def test_parse_json_answer_without_json_raises_value_error(text: str) -> None:
    with pytest.raises(ValueError, match=r"Expecting|Extra data|delimiter|recursion|digits"):
        parse_json_answer(text)


def test_parse_json_answer_reports_the_error_of_the_whole_text() -> None:
    with pytest.raises(ValueError, match=r"^Expecting value: line 1 column 1 \(char 0\)$") as caught:
        parse_json_answer("No.\n```json\n{'a'}\n```")
    assert isinstance(caught.value.__cause__, json.JSONDecodeError)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        pytest.param(OBJECT, OBJECT, id="bare"),
        pytest.param(f"```json\n{OBJECT}\n```", OBJECT, id="labelled fence"),
        pytest.param(f"```\n{OBJECT}\n```", OBJECT, id="unlabelled fence"),
        pytest.param(f"```javascript\n{OBJECT}\n```", OBJECT, id="fence of another language"),
        pytest.param(f"The answer is {OBJECT}, as requested.", OBJECT, id="amid prose"),
        pytest.param(f"As {{requested}}:\n```json\n{OBJECT}\n```", OBJECT, id="braces before the fence"),
        pytest.param(f"{OBJECT}\n{OBJECT}", OBJECT, id="two objects"),
        pytest.param(json.dumps(WITH_FENCE), json.dumps(WITH_FENCE), id="fence inside a string"),
        pytest.param('{"a": "two\nlines"}\n```', '{"a": "two\nlines"}', id="control character"),
        pytest.param('```json\n{"a": [1, ', '{"a": [1, ', id="unfinished"),
        pytest.param("```json\n", "", id="not begun"),
        pytest.param("[1, 2]", "", id="array"),
        pytest.param("", "", id="empty"),
        pytest.param('{"a":' * 10_000, '{"a":' * 10_000, id="nested too deeply"),
    ],
)
def test_find_json_object_returns_its_text(text: str, expected: str) -> None:
    assert find_json_object(text) == expected


JSON_VALUES = st.recursive(
    st.none() | st.booleans() | st.integers(-(10**9), 10**9) | st.text(),
    lambda values: st.lists(values, max_size=3) | st.dictionaries(st.text(), values, max_size=3),
    max_leaves=8,
)


@given(JSON_VALUES, st.booleans())
def test_parse_json_answer_reads_every_value_in_a_fence(value: Any, is_ascii: bool) -> None:
    text = json.dumps(value, ensure_ascii=is_ascii)
    assert parse_json_answer(text) == value
    assert parse_json_answer(f"So:\n```json\n{text}\n```\n") == value


def parse_leniently(text: str) -> None:
    find_json_object(text)
    with contextlib.suppress(ValueError):
        parse_json_answer(text)


@given(st.lists(st.sampled_from(["```", "```json", "\n", OBJECT, "{", "}", "[", '"', "\\", "\x00", "1"])).map("".join))
def test_any_text_raises_only_value_error(text: str) -> None:
    parse_leniently(text)


@pytest.mark.parametrize(
    "unit",
    ["```", "```json\n", "```json [", '```["', '```{"a":"', '"```[', '```["a","', "``` ", "```a", '```["\\"', "{"],
)
def test_time_grows_in_proportion_to_the_text(unit: str) -> None:
    size = 20_000
    short, long = (measure_seconds(parse_leniently, "x" + unit * (count // len(unit))) for count in (size, 4 * size))
    assert long < 4 * 2.5 * short + 0.01
