"""The limiter: how many calls may be under way, and how it learns that from how they end."""

import os

import pytest

from faithful_decide._asking import limiter
from faithful_decide._asking.limiter import Limiter, limiter_of


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


def enter(limiter, count):
    """Some callers."""
    return [limiter.enter() for _ in range(count)]


def let_in(places):
    """How many of them may go."""
    return sum(place.turn.done() for place in places)


def width(limiter):
    """How many may be under way, found by asking; nobody is left behind."""
    places = enter(limiter, 200)
    found = let_in(places)
    for place in reversed(places):
        limiter.leave(place)
    return found


def test_it_opens_one_wider_with_each_success_of_a_full_limiter():
    """The start is slow, and doubles with every round."""
    limiter = Limiter(start=2)
    places = enter(limiter, 20)
    assert let_in(places) == 2
    for done, expected in ((2, 6), (4, 14)):
        for place in [place for place in places if place.turn.done()][-done:]:
            limiter.leave(place, "well")
        assert let_in(places) == expected


def test_it_does_not_grow_while_it_has_room():
    """Many calls one after the other say nothing about many at once."""
    limiter = Limiter(start=2)
    for _ in range(50):
        limiter.leave(limiter.enter(), "well")
    assert width(limiter) == 2


def test_a_refusal_sends_one_ahead_and_then_halves():
    """Who follows is spared a second refusal; after one success, half of the room is back."""
    limiter = Limiter(start=16)
    before = enter(limiter, 16)
    waiting = enter(limiter, 16)
    limiter.leave(before[0], "busy")
    assert let_in(waiting) == 1
    limiter.leave(waiting[0], "well")
    assert let_in(waiting[1:]) == 8


def test_calls_that_are_refused_together_are_one_refusal():
    """Half of the room is lost once, and not once for each."""
    limiter = Limiter(start=16)
    for place in enter(limiter, 16):
        limiter.leave(place, "busy")
    limiter.leave(limiter.enter(), "well")
    assert width(limiter) == 8


def test_success_of_an_earlier_time_says_nothing():
    """Calls that began before a refusal neither open the limiter again nor stand in the way."""
    limiter = Limiter(start=10)
    before = enter(limiter, 10)
    limiter.leave(before[0], "busy")
    for place in before[1:5]:
        limiter.leave(place, "well")
    assert let_in(enter(limiter, 4)) == 1


def test_a_call_that_fails_otherwise_says_nothing():
    """It leaves its place to the next, and the one that goes ahead is still alone."""
    limiter = Limiter(start=4)
    limiter.leave(limiter.enter(), "busy")
    places = enter(limiter, 4)
    limiter.leave(places[0])
    assert let_in(places[1:]) == 1


def test_nobody_goes_while_it_is_shut(clock):
    """And one goes when it opens, who has to look."""
    limiter = Limiter(start=4)
    limiter.leave(limiter.enter(), "busy", pause=3.0)
    waiting = enter(limiter, 4)
    assert let_in(waiting) == 0
    assert limiter.again_in() == limiter.shut_for() == 3.0
    clock.now += 3.0
    limiter.look()
    assert let_in(waiting) == 1


def test_a_server_that_does_not_say_for_how_long_is_left_alone_for_longer_each_time(clock):
    """The first refusal may be chance; from the second on there is a pause, and it grows."""
    limiter = Limiter(start=4)
    pauses = []
    for _ in range(8):
        limiter.leave(limiter.enter(), "busy")
        pauses.append(max(0.0, limiter.shut_for()))
        clock.now += pauses[-1]
    assert pauses[0] == 0
    assert 0.25 <= pauses[1] <= 0.5
    assert 2.0 <= pauses[-1] <= 4.0
    limiter.leave(limiter.enter(), "well")
    limiter.leave(limiter.enter(), "busy")
    assert limiter.shut_for() <= 0


def test_a_call_that_hangs_does_not_keep_others_out(clock):
    """What takes much longer than usual takes up no room any more."""
    limiter = Limiter(start=4)
    for _ in range(20):
        place = limiter.enter()
        clock.now += 2.0
        limiter.leave(place, "well")
    limiter.leave(limiter.enter(), "busy")
    ahead, *waiting = enter(limiter, 3)
    clock.now += 7.9
    limiter.look()
    assert let_in(waiting) == 0
    assert limiter.again_in() == pytest.approx(0.1)
    clock.now += 0.2
    limiter.look()
    assert let_in(waiting) == 1
    limiter.leave(ahead)  # leaving late takes nothing from those who came after
    assert let_in(waiting) == 1


def test_those_who_hang_together_are_replaced_one_at_a_time(clock):
    """A server that has become slow must not be buried."""
    limiter = Limiter(start=8)
    enter(limiter, 8)
    waiting = enter(limiter, 8)
    clock.now += 5.1
    for _ in range(5):
        limiter.look()
    assert let_in(waiting) == 1
    clock.now += 5.1
    limiter.look()
    assert let_in(waiting) == 2


def test_who_gives_up_waiting_leaves_no_hole():
    """A place that was kept for somebody who went away goes to the next."""
    limiter = Limiter(start=1)
    inside, first, second = enter(limiter, 3)
    limiter.leave(first)
    limiter.leave(inside)
    assert second.turn.done()
    limiter.leave(second)
    assert limiter.enter().turn.done()


def test_a_storm_costs_one_call_in_each_window(clock):
    """However many wait, a server that refuses everybody is asked once when it said."""
    limiter, asked = Limiter(), 0
    callers = enter(limiter, 64)
    for _ in range(5):
        gone = [place for place in callers if place.turn.done()]
        asked += len(gone)
        for place in gone:
            callers.remove(place)
            limiter.leave(place, "busy", pause=1.0)
        callers += enter(limiter, len(gone))
        clock.now += 1.0
        limiter.look()
    assert asked == 2 + 4


def test_one_limiter_for_one_name():
    """All who name the same model stand at the same limiter, for as long as anybody does."""
    limiter = limiter_of("one")
    assert limiter_of("one") is limiter
    assert limiter_of("another") is not limiter


def test_who_comes_first_says_how_many_may_go():
    """Later ones find the limiter as it is."""
    limiter = limiter_of("wide", 6)
    assert limiter_of("wide") is limiter
    assert [limiter.enter().turn.done() for _ in range(7)] == [True] * 6 + [False]


@pytest.mark.skipif(not hasattr(os, "fork"), reason="needs fork")
def test_a_forked_child_has_limiters_of_its_own():
    """Nobody in it will ever leave those of its parent."""
    limiter = limiter_of("forked")
    enter(limiter, 2)
    child = os.fork()
    if child == 0:
        os._exit(0 if limiter_of("forked").enter().turn.done() else 1)
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0
