"""Start points lie in the space, whatever it is, and carry their author's figures where it has them."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from glosstune.spaces import STRATEGIES, Choice, Float, Int, Space
from glosstune.spaces.start_points import labelled, strategy_points

NAMES = list(STRATEGIES)
DEPTHS = {"last": "mixed_5c", "middle": "mixed_4f"}
RATES = st.floats(1e-6, 1.0)


@st.composite
def spaces(draw):
    offered = draw(st.lists(st.sampled_from(NAMES), min_size=1, unique=True))
    low, high = sorted(draw(st.tuples(RATES, RATES).filter(lambda pair: pair[0] != pair[1])))
    several = len(offered) > 1 and draw(st.booleans())
    rate = Float(low, high, log=draw(st.booleans()))
    if several:
        others = Float(low, high, log=True, when={"strategy": offered[1:]})
        rate = [Float(low, high, when={"strategy": offered[0]}), others]
    parameters = {
        "strategy": Choice(offered) if several else draw(st.sampled_from([Choice(offered), offered[0]])),
        "learning_rate": rate,
        "dropout": draw(st.sampled_from([Float(0.0, 0.5, step=0.1), Float(0.25, 0.5), Choice([0.0, 0.3]), 0.2])),
        "warmup_epochs": draw(st.sampled_from([Int(0, 8, step=4), Int(3, 9), Int(0, 1), 0])),
        "batch_size": draw(st.sampled_from([Int(1, 64, log=True), Choice([4, 8]), 16])),
        "weight_decay": draw(st.sampled_from([Float(1e-6, 1e-2, log=True), Float(0, 1)])),
    }
    if "fine-tune" in offered and isinstance(parameters["strategy"], Choice):
        layers = draw(st.sampled_from([["mixed_3b", "mixed_4f"], ["mixed_5b"]]))
        parameters["freeze_until"] = Choice(layers, when={"strategy": "fine-tune"})
    if "progressive" in offered and isinstance(parameters["strategy"], Choice):
        parameters["unfreeze_stages"] = Int(*draw(st.sampled_from([(2, 5), (2, 3)])), when={"strategy": "progressive"})
    return Space(parameters)


@given(spaces())
def test_every_start_point_lies_in_the_space_one_for_each_strategy(space):
    points = strategy_points(space, DEPTHS)
    (definition,) = space["strategy"]
    offered = definition.options if isinstance(definition, Choice) else [definition.value]
    # From scratch comes last: whoever leads first takes most epochs.
    assert [point["strategy"] for point in points] == sorted(offered, key=lambda name: name == "baseline")
    for point in points:
        space.check(point)


@given(spaces())
def test_the_labels_of_a_start_point_draw_that_start_point(space):
    for point in strategy_points(space, DEPTHS):
        values = labelled(space, point)
        assert space.configuration(lambda label, parameter, values=values: values[label]) == point


def test_a_point_has_the_authors_figures_where_the_space_offers_them():
    space = Space(
        {
            "strategy": Choice(["fine-tune", "progressive", "full-finetune"]),
            "freeze_until": Choice(["mixed_3b", "mixed_4f"], when={"strategy": "fine-tune"}),
            "unfreeze_stages": Int(2, 5, when={"strategy": "progressive"}),
            "learning_rate": [
                Float(1e-4, 1e-2, log=True, when={"strategy": ["fine-tune", "progressive"]}),
                Float(1e-4, 1e-3, log=True, when={"strategy": "full-finetune"}),
            ],
            "dropout": Float(0.0, 0.6),
            "warmup_epochs": Int(0, 10),
        }
    )
    open_values = {"dropout": 0.1, "warmup_epochs": 2}
    assert strategy_points(space, DEPTHS) == [
        {"strategy": "fine-tune", "freeze_until": "mixed_4f", "learning_rate": 5e-4, **open_values},
        {"strategy": "progressive", "unfreeze_stages": 4, "learning_rate": 1e-4, **open_values},
        # Its author's 1e-5 lies below the range.
        {"strategy": "full-finetune", "learning_rate": 1e-4, **open_values},
    ]


@pytest.mark.parametrize("layer", ["mixed_5c", "stem"])
def test_depths_are_those_of_the_model(layer):
    space = Space({"strategy": "feature-extraction", "freeze_until": Choice(["mixed_5b", "mixed_5c", "stem"])})
    points = strategy_points(space, {**DEPTHS, "last": layer})
    assert points == [{"strategy": "feature-extraction", "freeze_until": layer}]


def test_a_space_without_strategies_has_no_start_points():
    assert strategy_points(Space({"learning_rate": Float(1e-4, 1e-2)}), DEPTHS) == []
