"""What is generated for small services, held against what they need, and that against the oracle's answers."""

from __future__ import annotations

import pytest

from tests.requirements import require
from tests.services.fixture import SERVICES, Service
from tests.services.oracle import minimum, read_answers
from tests.services.study import GRANTED_TO_ALL, study
from tests.system.conftest import is_root
from tests.twin_fixtures import TwinWith

QUICK = [service for service in SERVICES if service.quick]
ANSWERED = [service for service in SERVICES if service.name in read_answers()]


@pytest.mark.parametrize("service", QUICK, ids=lambda service: service.name)
def test_what_is_generated_is_what_is_needed(twin_with: TwinWith, service: Service) -> None:
    require(is_root(), "recording a service needs root")

    studied = study(twin_with(), service)

    assert studied.problem == ""
    assert studied.blocked == 0
    assert studied.differences(service.needs) == []


def test_there_are_thirty_services_and_ten_decoys() -> None:
    decoys = [service for service in SERVICES if service.decoy_for]

    assert len(decoys) >= 10
    assert len(SERVICES) - len(decoys) >= 30
    assert len(ANSWERED) >= 30
    assert 6 <= len(QUICK) <= 10, "each takes some seconds"


@pytest.mark.parametrize("service", ANSWERED, ids=lambda service: service.name)
def test_what_is_expected_is_what_the_oracle_found(service: Service) -> None:
    answer = read_answers()[service.name]

    assert answer.capabilities == service.needs.capabilities
    if not service.explained:
        assert answer.relaxed == service.needs.relaxed
        assert answer.families - GRANTED_TO_ALL == service.needs.families - GRANTED_TO_ALL


def test_a_minimum_is_found_that_passes_and_has_nothing_to_spare() -> None:
    items = [("capability", str(number)) for number in range(50)]
    needed = {items[3], items[17], items[44]}
    asked = []

    def passes(allowed: set[tuple[str, str]]) -> bool:
        asked.append(allowed)
        return needed <= allowed

    assert minimum(items, passes) == needed
    assert len(asked) < 60
