"""The cassettes are what they say: all of them used, in full, from where they claim, and without secrets."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.record import record_from_emulator
from tests.support.scenarios import SCENARIOS
from tests.support.standard_suite_replies import SUITES
from tests.support.vcr_config import FOLDER, PROVENANCES, path_of, provenance_of, replayed

each_scenario = pytest.mark.parametrize("name", SCENARIOS)
each_cassette = pytest.mark.parametrize("name", [*SCENARIOS, *SUITES])  # a suite's own classes replay it


@each_scenario
def test_a_scenario_replays_and_uses_its_cassette_up(name: str) -> None:
    with replayed(name) as cassette:
        answer = SCENARIOS[name].run()
    assert cassette.all_played
    if provenance_of(name) == "emulator":
        assert answer == SCENARIOS[name].answer


@each_cassette
def test_a_cassette_says_where_it_comes_from(name: str) -> None:
    assert provenance_of(name) in PROVENANCES


@each_scenario
def test_a_cassette_from_the_emulator_is_what_the_emulator_says_today(name: str, tmp_path: Path) -> None:
    if provenance_of(name) != "emulator":
        pytest.skip("recorded live")
    record_from_emulator(SCENARIOS[name], tmp_path / "again.yaml")
    assert (tmp_path / "again.yaml").read_text(encoding="utf-8") == path_of(name).read_text(encoding="utf-8")


@each_cassette
def test_a_cassette_holds_no_key_and_no_address_of_this_machine(name: str) -> None:
    text = path_of(name).read_text(encoding="utf-8").lower()
    assert not any(secret in text for secret in ("sk-", "authorization", "bearer", "127.0.0.1", "set-cookie"))


def test_no_cassette_is_an_orphan() -> None:
    files = {str(path.relative_to(FOLDER).with_suffix("")) for path in FOLDER.rglob("*.yaml")}
    assert files == {*SCENARIOS, *SUITES}
