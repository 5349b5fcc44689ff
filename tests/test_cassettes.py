"""Test that cassettes replay in full, state their provenance, match the emulator and hold no secrets."""

from __future__ import annotations

from pathlib import Path

import pytest

from qwenvl_core.transport import batch_calls
from tests.record import record_from_emulator
from tests.support.scenarios import SCENARIOS
from tests.support.standard_suite_replies import SUITES
from tests.support.vcr_config import FOLDER, PROVENANCES, path_of, provenance_of, replayed

each_scenario = pytest.mark.parametrize("name", SCENARIOS)
each_cassette = pytest.mark.parametrize("name", [*SCENARIOS, *SUITES])  # the classes of a suite replay its cassette
# The cassettes of pages and notebooks are played in full by the tests of those.
each_own_scenario = pytest.mark.parametrize(
    "name", [name for name in SCENARIOS if not name.startswith(("docs_", "notebook_", "readme_"))]
)


@pytest.fixture(autouse=True)
def shorten_pauses(monkeypatch: pytest.MonkeyPatch) -> None:
    """Wait no seconds between two looks at a batch."""
    monkeypatch.setattr(batch_calls, "_FIRST_PAUSE", 0.01)


@each_own_scenario
def test_scenario_replay_plays_whole_cassette(name: str) -> None:
    with replayed(name) as cassette:
        answer = SCENARIOS[name].run()
    assert cassette.all_played
    if provenance_of(name) == "emulator":
        assert answer == SCENARIOS[name].answer


@each_cassette
def test_cassette_states_provenance(name: str) -> None:
    assert provenance_of(name) in PROVENANCES


@each_scenario
def test_cassette_from_emulator_equals_new_recording(name: str, tmp_path: Path) -> None:
    if provenance_of(name) != "emulator":
        pytest.skip("recorded live")
    record_from_emulator(SCENARIOS[name], tmp_path / "again.yaml")
    assert (tmp_path / "again.yaml").read_text(encoding="utf-8") == path_of(name).read_text(encoding="utf-8")


@each_cassette
def test_cassette_holds_no_secrets_or_local_addresses(name: str) -> None:
    text = path_of(name).read_text(encoding="utf-8").lower()
    assert not any(secret in text for secret in ("sk-", "authorization", "bearer", "127.0.0.1", "set-cookie"))


def test_every_cassette_belongs_to_scenario_or_suite() -> None:
    files = {str(path.relative_to(FOLDER).with_suffix("")) for path in FOLDER.rglob("*.yaml")}
    assert files == {*SCENARIOS, *SUITES}
