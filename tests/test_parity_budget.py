"""How much is checked: everything if that is cheap, else as much as time allows, and never nothing."""

from __future__ import annotations

import math

import pytest

from zoo.errors import InputError
from zoo.parity.budget import BATCHES, DEFAULT, Cost, Run, candidates, plan, seconds_of
from zoo.signature import Option, Signature, Tensor, Window
from zoo.spaces import KINDS

X = {"x": Tensor("float32", (3,))}
CALL = Signature(inputs=X, outputs={"log_prob": Tensor("float32")}, options={}, random=False)
FIXED = Signature(inputs={}, outputs=X, options={}, random=True, length=1000)
STEPS = Signature(inputs={}, outputs=X, options={"steps": Option(50, low=1)}, random=True, length="steps")
FREE = Cost(0.0, 0.0)


def seconds(runs, signature, cost):
    return sum(run.seconds(signature, cost, cost) for run in runs)


def test_a_budget_as_users_give_it():
    assert [seconds_of(check) for check in (None, "full", 10, "2.5")] == [DEFAULT, math.inf, 10, 2.5]
    assert 0 < seconds_of("quick") < DEFAULT
    for wrong in ("quik", 0, -3, "nan"):
        with pytest.raises(InputError, match="expected full, quick, or seconds"):
            seconds_of(wrong)


@pytest.mark.parametrize("signature", [CALL, FIXED, STEPS])
def test_what_is_cheap_is_checked_whole(signature):
    everything = [Run(kind, 7) for kind in KINDS]
    assert plan(signature, FREE, FREE, 60, True) == everything
    assert plan(signature, Cost(1, 1), Cost(1, 1), math.inf, True) == everything


@pytest.mark.parametrize("signature", [CALL, FIXED, STEPS])
@pytest.mark.parametrize("pass_", [1e-4, 1e-3, 1e-2, 0.1, 0.3, 1.0])
@pytest.mark.parametrize("budget", [5, 60])
def test_a_plan_keeps_to_its_budget(signature, pass_, budget):
    cost = Cost(0.0, pass_)
    found = plan(signature, cost, cost, budget, True)
    least = list(candidates(signature, True))[-1]
    assert found
    assert seconds(found, signature, cost) <= budget or found == least
    assert all(run.rows in BATCHES for run in found)


def test_of_a_long_loop_a_few_steps_at_its_beginning_middle_and_end():
    cost = Cost(0.0, 0.1)  # a second for ten rows and steps
    found = plan(FIXED, cost, cost, 60, True)
    places = {run.window.first for run in found if run.kind == "random"}
    steps = found[0].window.steps
    assert places == {0, (1000 - steps) // 2, 1000 - steps}
    assert {run.kind for run in found} == set(KINDS)
    dear = Cost(0.0, 0.3)
    short, *parts = plan(STEPS, dear, dear, 60, True)
    assert short == Run("random", parts[0].rows, steps=parts[0].window.steps)  # a run of few steps, but a whole one
    assert plan(FIXED, cost, cost, 0.001, True) == [Run("random", 1, Window(0, 1))]


def test_of_a_long_loop_as_many_steps_as_fit_are_taken_at_once():
    """A cache that is read twenty steps later is empty in every short part."""
    cost = Cost(0.0, 0.1)
    for budget in (20, 60):
        found = plan(FIXED, cost, cost, budget, True)
        last = found[-1]
        assert (last.rows, last.window.first) == (1, 0)
        assert last.window.steps >= 0.5 * budget / 0.2 - 1
        assert seconds(found, FIXED, cost) <= budget


def test_a_loop_that_cannot_be_entered_is_checked_at_its_beginning():
    cost = Cost(0.0, 0.1)
    assert {run.window.first for run in plan(FIXED, cost, cost, 60, False)} == {0}
