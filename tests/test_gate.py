"""The gate: how many calls may be under way, and how it learns that from how they end."""

import os

import pytest

from faithful_decide._asking import limiter
from faithful_decide._asking.limiter import Gate, gate_of


@pytest.fixture
def clock(monkeypatch):
    """Time that passes when it is told to."""

    class Clock:
        now = 100.0

        def __call__(self):
            return self.now

    clock = Clock()
    monkeypatch.setattr(limiter.time, "monotonic", clock)
    return clock


def knock(gate, count):
    """Some callers."""
    return [gate.knock() for _ in range(count)]


def let_in(places):
    """How many of them may go."""
    return sum(place.turn.done() for place in places)


def width(gate):
    """How many may be under way, found by asking; nobody is left behind."""
    places = knock(gate, 200)
    found = let_in(places)
    for place in reversed(places):
        gate.leave(place)
    return found


def test_it_opens_one_wider_with_each_success_of_a_full_gate():
    """The start is slow, and doubles with every round."""
    gate = Gate(start=2)
    places = knock(gate, 20)
    assert let_in(places) == 2
    for done, expected in ((2, 6), (4, 14)):
        for place in [place for place in places if place.turn.done()][-done:]:
            gate.leave(place, "well")
        assert let_in(places) == expected


def test_it_does_not_grow_while_it_has_room():
    """Many calls one after the other say nothing about many at once."""
    gate = Gate(start=2)
    for _ in range(50):
        gate.leave(gate.knock(), "well")
    assert width(gate) == 2


def test_a_refusal_sends_one_ahead_and_then_halves():
    """Who follows is spared a second refusal; after one success, half of the room is back."""
    gate = Gate(start=16)
    before = knock(gate, 16)
    waiting = knock(gate, 16)
    gate.leave(before[0], "busy")
    assert let_in(waiting) == 1
    gate.leave(waiting[0], "well")
    assert let_in(waiting[1:]) == 8


def test_calls_that_are_refused_together_are_one_refusal():
    """Half of the room is lost once, and not once for each."""
    gate = Gate(start=16)
    for place in knock(gate, 16):
        gate.leave(place, "busy")
    gate.leave(gate.knock(), "well")
    assert width(gate) == 8


def test_success_of_an_earlier_time_says_nothing():
    """Calls that began before a refusal neither open the gate again nor stand in the way."""
    gate = Gate(start=10)
    before = knock(gate, 10)
    gate.leave(before[0], "busy")
    for place in before[1:5]:
        gate.leave(place, "well")
    assert let_in(knock(gate, 4)) == 1


def test_a_call_that_fails_otherwise_says_nothing():
    """It leaves its place to the next, and the one that goes ahead is still alone."""
    gate = Gate(start=4)
    gate.leave(gate.knock(), "busy")
    places = knock(gate, 4)
    gate.leave(places[0])
    assert let_in(places[1:]) == 1


def test_nobody_goes_while_it_is_shut(clock):
    """And one goes when it opens, who has to look."""
    gate = Gate(start=4)
    gate.leave(gate.knock(), "busy", pause=3.0)
    waiting = knock(gate, 4)
    assert let_in(waiting) == 0
    assert gate.again_in() == gate.shut_for() == 3.0
    clock.now += 3.0
    gate.look()
    assert let_in(waiting) == 1


def test_a_server_that_does_not_say_for_how_long_is_left_alone_for_longer_each_time(clock):
    """The first refusal may be chance; from the second on there is a pause, and it grows."""
    gate = Gate(start=4)
    pauses = []
    for _ in range(8):
        gate.leave(gate.knock(), "busy")
        pauses.append(max(0.0, gate.shut_for()))
        clock.now += pauses[-1]
    assert pauses[0] == 0
    assert 0.25 <= pauses[1] <= 0.5
    assert 2.0 <= pauses[-1] <= 4.0
    gate.leave(gate.knock(), "well")
    gate.leave(gate.knock(), "busy")
    assert gate.shut_for() <= 0


def test_a_call_that_hangs_does_not_keep_others_out(clock):
    """What takes much longer than usual takes up no room any more."""
    gate = Gate(start=4)
    for _ in range(20):
        place = gate.knock()
        clock.now += 2.0
        gate.leave(place, "well")
    gate.leave(gate.knock(), "busy")
    ahead, *waiting = knock(gate, 3)
    clock.now += 7.9
    gate.look()
    assert let_in(waiting) == 0
    assert gate.again_in() == pytest.approx(0.1)
    clock.now += 0.2
    gate.look()
    assert let_in(waiting) == 1
    gate.leave(ahead)  # leaving late takes nothing from those who came after
    assert let_in(waiting) == 1


def test_those_who_hang_together_are_replaced_one_at_a_time(clock):
    """A server that has become slow must not be buried."""
    gate = Gate(start=8)
    knock(gate, 8)
    waiting = knock(gate, 8)
    clock.now += 5.1
    for _ in range(5):
        gate.look()
    assert let_in(waiting) == 1
    clock.now += 5.1
    gate.look()
    assert let_in(waiting) == 2


def test_who_gives_up_waiting_leaves_no_hole():
    """A place that was kept for somebody who went away goes to the next."""
    gate = Gate(start=1)
    inside, first, second = knock(gate, 3)
    gate.leave(first)
    gate.leave(inside)
    assert second.turn.done()
    gate.leave(second)
    assert gate.knock().turn.done()


def test_a_storm_costs_one_call_in_each_window(clock):
    """However many wait, a server that refuses everybody is asked once when it said."""
    gate, asked = Gate(), 0
    callers = knock(gate, 64)
    for _ in range(5):
        gone = [place for place in callers if place.turn.done()]
        asked += len(gone)
        for place in gone:
            callers.remove(place)
            gate.leave(place, "busy", pause=1.0)
        callers += knock(gate, len(gone))
        clock.now += 1.0
        gate.look()
    assert asked == 2 + 4


def test_one_gate_for_one_name():
    """All who name the same model stand at the same gate, for as long as anybody does."""
    gate = gate_of("one")
    assert gate_of("one") is gate
    assert gate_of("another") is not gate


def test_who_comes_first_says_how_many_may_go():
    """Later ones find the gate as it is."""
    gate = gate_of("wide", 6)
    assert gate_of("wide") is gate
    assert [gate.knock().turn.done() for _ in range(7)] == [True] * 6 + [False]


@pytest.mark.skipif(not hasattr(os, "fork"), reason="needs fork")
def test_a_forked_child_has_gates_of_its_own():
    """Nobody in it will ever leave those of its parent."""
    gate = gate_of("forked")
    knock(gate, 2)
    child = os.fork()
    if child == 0:
        os._exit(0 if gate_of("forked").knock().turn.done() else 1)
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0
