"""The breaker before the API."""

import pytest

from signals.domain.circuit import CircuitBreaker
from signals.domain.flow_errors import FlowCircuitOpen


class Hands:
    now = 0.0

    def __call__(self):
        return self.now


@pytest.fixture
def hands():
    return Hands()


@pytest.fixture
def breaker(hands):
    return CircuitBreaker(threshold=5, hold=10, longest=40, clock=hands)


def fail(breaker, times):
    for _ in range(times):
        breaker.failed()


def test_four_failures_are_borne(breaker):
    fail(breaker, 4)
    breaker.before()


def test_a_success_in_between_starts_the_count_anew(breaker):
    fail(breaker, 4)
    breaker.succeeded()
    fail(breaker, 4)
    breaker.before()


def test_the_fifth_failure_in_a_row_opens_it(breaker):
    fail(breaker, 5)
    with pytest.raises(FlowCircuitOpen) as refused:
        breaker.before()
    assert refused.value.retry_after == 10
    assert breaker.is_open


def test_one_probe_passes_after_the_hold_and_the_others_wait(breaker, hands):
    fail(breaker, 5)
    hands.now = 10
    breaker.before()
    with pytest.raises(FlowCircuitOpen):
        breaker.before()


def test_a_failed_probe_doubles_the_hold_up_to_its_limit(breaker, hands):
    fail(breaker, 5)
    holds = []
    for _ in range(4):
        with pytest.raises(FlowCircuitOpen) as refused:
            breaker.before()
        holds.append(refused.value.retry_after)
        hands.now += refused.value.retry_after
        breaker.before()
        breaker.failed()
    assert holds == [10, 20, 40, 40]


def test_a_good_probe_closes_it(breaker, hands):
    fail(breaker, 5)
    hands.now = 10
    breaker.before()
    breaker.succeeded()
    fail(breaker, 4)
    breaker.before()
