"""The five strategies carry the figures of their author."""

import pytest

from glosstune.spaces import STRATEGIES, Strategy


@pytest.mark.parametrize(
    ("name", "freeze_until", "stages", "learning_rate", "epochs", "batch_size", "pretrained"),
    [
        ("baseline", None, None, 5e-4, 50, 16, False),
        ("feature-extraction", "last", None, 1e-3, 20, 16, True),
        ("fine-tune", "middle", None, 5e-4, 30, 16, True),
        ("progressive", "middle", 4, 1e-4, 50, 16, True),
        ("full-finetune", None, None, 1e-5, 50, 8, True),
    ],
)
def test_strategy_has_the_figures_of_the_table(
    name, freeze_until, stages, learning_rate, epochs, batch_size, pretrained
):
    expected = Strategy(name, freeze_until, stages, learning_rate, epochs, batch_size, pretrained=pretrained)
    assert STRATEGIES[name] == expected


def test_strategies_are_five_and_cannot_be_changed():
    assert list(STRATEGIES) == ["baseline", "feature-extraction", "fine-tune", "progressive", "full-finetune"]
    with pytest.raises(TypeError):
        STRATEGIES["mine"] = STRATEGIES["baseline"]
