"""The load a server is given, and whether it is asked at all."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from cai_core.inference.server_state import FAULTS_TO_OPEN, FIRST_LIMIT, AdaptiveLimit, Circuit


def answer_round(limit: AdaptiveLimit) -> None:
    """As many answers as requests were under way, all slots in use."""
    for _ in range(int(limit.value)):
        limit.answered(int(limit.value))


def test_the_load_doubles_with_each_round_up_to_the_ceiling() -> None:
    limit = AdaptiveLimit(100)
    seen = [int(limit.value)]
    for _ in range(4):
        answer_round(limit)
        seen.append(int(limit.value))
    assert seen == [16, 32, 64, 100, 100]
    assert AdaptiveLimit(3).value == 3


def test_it_does_not_grow_while_slots_are_empty() -> None:
    limit = AdaptiveLimit(100)
    for _ in range(50):
        limit.answered(FIRST_LIMIT - 1)
    assert limit.value == FIRST_LIMIT


def test_it_is_halved_once_for_all_that_were_under_way_and_grows_slowly_then() -> None:
    limit = AdaptiveLimit(100)
    for _ in range(10):
        limit.sent_away(sent_at=1.0, now=2.0)
    assert limit.value == 8
    answer_round(limit)
    assert 8.9 < limit.value <= 9.0
    limit.sent_away(sent_at=3.0, now=4.0)
    assert 4 <= limit.value < 5


def test_a_queue_in_the_server_bounds_it() -> None:
    limit = AdaptiveLimit(256)
    for _ in range(5):
        answer_round(limit)
    assert limit.value == 256
    limit.told_queue(running=64, waiting=192)
    assert limit.value == 80
    limit.told_queue(running=64, waiting=16)
    assert limit.value == 80
    limit.told_queue(running=0, waiting=5)  # it has just begun
    assert limit.value == 80


@given(
    st.integers(1, 300),
    st.lists(st.tuples(st.sampled_from("aqs"), st.integers(0, 400), st.integers(0, 400))),
)
def test_it_never_leaves_its_range(ceiling: int, happened: list[tuple[str, int, int]]) -> None:
    limit = AdaptiveLimit(ceiling)
    for kind, one, two in happened:
        if kind == "a":
            limit.answered(one)
        elif kind == "q":
            limit.told_queue(one, two)
        else:
            limit.sent_away(one, one + two)
        assert 1 <= limit.value <= ceiling


def test_the_circuit_opens_after_faults_in_a_row() -> None:
    circuit = Circuit()
    for number in range(FAULTS_TO_OPEN - 1):
        assert not circuit.failed("fault", float(number))
    circuit.succeeded()
    for number in range(FAULTS_TO_OPEN - 1):
        assert not circuit.failed("fault", float(number))
    assert circuit.failed("the last", 9.0)
    assert circuit.is_open and circuit.silent_since == 9.0
    # Further faults belong to the same outage.
    assert not circuit.failed("another", 10.0)
    assert circuit.silent_since == 9.0
    circuit.succeeded()
    assert not circuit.is_open and circuit.silent_since is None


def test_one_lost_connection_is_enough() -> None:
    assert Circuit().failed("no connection", 1.0, at_once=True)


def test_the_rests_grow_to_a_bound_and_begin_again() -> None:
    circuit = Circuit()
    rests = [circuit.next_rest() for _ in range(10)]
    assert rests[:4] == [0.5, 1.0, 2.0, 4.0]
    assert max(rests) == rests[-1] == 30.0
    circuit.succeeded()
    assert circuit.next_rest() == 0.5


def test_who_sends_everybody_away_is_silent_too() -> None:
    circuit = Circuit()
    assert [circuit.sent_away("busy", t) for t in (1.0, 2.0)] == [1, 2]
    assert circuit.silent_since == 1.0 and not circuit.is_open
    circuit.succeeded()
    assert circuit.silent_since is None
