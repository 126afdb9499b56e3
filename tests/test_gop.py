"""Tests of `codec.gop`: what the plan of a group promises, for every length and pyramid."""

import pytest

from codec.gop import CASCADE, PYRAMIDS, FramePlan, last_uses, plan_gop

LENGTHS = [1, 2, 3, 4, 5, 7, 8, 9, 16, 17, 18, 32, 33, 100]


@pytest.fixture(params=[(length, pyramid) for length in LENGTHS for pyramid in PYRAMIDS], ids=str)
def group(request):
    """Return number of frames, pyramid and plan."""
    return *request.param, plan_gop(*request.param)


def test_the_example_of_the_module():
    coded = plan_gop(9, 8)
    plans = sorted(coded, key=lambda plan: plan.index)
    assert "".join(plan.type for plan in plans) == "IBBBBBBBP"
    assert [plan.level for plan in plans] == [0, 4, 3, 4, 2, 4, 3, 4, 1]
    assert [1 + coded.index(plan) for plan in plans] == [1, 5, 4, 6, 3, 8, 7, 9, 2]
    assert plans[4].references == (0, 8)
    assert plans[5].references == (4, 6)


def test_a_shorter_last_step():
    assert plan_gop(4, 2) == [
        FramePlan(0, "I", (), 0),
        FramePlan(2, "P", (0,), 1),
        FramePlan(1, "B", (0, 2), 2),
        FramePlan(3, "P", (2,), 1),
    ]


def test_every_frame_once(group):
    length, _, plans = group
    assert sorted(plan.index for plan in plans) == list(range(length))


def test_references_are_coded_before(group):
    _, _, plans = group
    coded = set()
    for plan in plans:
        assert set(plan.references) <= coded
        coded.add(plan.index)


def test_types_and_sides(group):
    length, pyramid, plans = group
    level = {plan.index: plan.level for plan in plans}
    anchors = {*range(0, length, pyramid), length - 1}
    for plan in plans:
        if plan.index == 0:
            assert plan == FramePlan(0, "I", (), 0)
        elif plan.index in anchors:
            before = max(anchor for anchor in anchors if anchor < plan.index)
            assert plan == FramePlan(plan.index, "P", (before,), 1)
        else:
            before, after = plan.references
            assert plan.type == "B"
            assert before < plan.index < after
            assert max(level[before], level[after], 1) == plan.level - 1


def test_levels_have_their_quantiser(group):
    _, pyramid, plans = group
    assert max(plan.level for plan in plans) <= min(pyramid.bit_length(), len(CASCADE) - 1)


def test_the_cascade_rises():
    assert list(CASCADE) == sorted(set(CASCADE))


def test_frames_are_forgotten_after_their_last_use(group):
    length, pyramid, plans = group
    held, most, done = set(), 0, []
    for plan, forgotten in zip(plans, last_uses(plans), strict=True):
        assert held >= set(plan.references)
        held.add(plan.index)
        most = max(most, len(held))
        held -= set(forgotten)
        done += forgotten
    assert not held
    assert sorted(done) == list(range(length))  # each once
    assert most <= 2 + pyramid.bit_length()  # two anchors, one frame of each level between, and the one at hand


def test_a_frame_that_no_other_needs_is_forgotten_at_once(group):
    _, _, plans = group
    needed = {reference for plan in plans for reference in plan.references}
    for plan, forgotten in zip(plans, last_uses(plans), strict=True):
        assert (plan.index in forgotten) == (plan.index not in needed)
