"""Each check of the proof matters: without it, the rules are wrong in the world that it is there for."""

from __future__ import annotations

import pytest

from tests.paging.mutations import MUTATIONS, Mutation
from tests.paging.witnesses import UNSHOWN, WITNESSES

NAMES = [mutation.name for mutation in MUTATIONS]


@pytest.mark.parametrize("mutation", [one for one in MUTATIONS if one.name in WITNESSES], ids=lambda one: one.name)
def test_a_check_that_is_broken_is_wrong_in_its_world(mutation: Mutation) -> None:
    assert WITNESSES[mutation.name].shows(mutation)


def test_every_check_has_a_world_or_a_reason() -> None:
    assert len(NAMES) == len(set(NAMES))
    assert sorted(NAMES) == sorted([*WITNESSES, *UNSHOWN])
