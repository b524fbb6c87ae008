"""The five freezing strategies as named points, with the figures their author found."""

from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType


@dataclass(frozen=True)
class Strategy:
    """A recipe to start from: what is frozen, for how long, and at which rate it trains.

    ``freeze_until`` names the first layer that trains in each kind of model, None freezes nothing; where
    ``unfreeze_stages`` is set, the stages say what is frozen at which epoch. ``pretrained``: it needs weights to
    start from.
    """

    name: str
    freeze_until: Mapping[str, str] | None
    unfreeze_stages: int | None
    learning_rate: float
    epochs: int
    batch_size: int
    pretrained: bool


# The author's depths are the teacher's; the student's are the blocks that as many groups of layers follow.
_LAST = MappingProxyType({"teacher": "mixed_5c", "student": "last"})
_MIDDLE = MappingProxyType({"teacher": "mixed_4f", "student": "block_8"})

_POINTS = (
    Strategy("baseline", None, None, 5e-4, 50, 16, pretrained=False),
    Strategy("feature-extraction", _LAST, None, 1e-3, 20, 16, pretrained=True),
    Strategy("fine-tune", _MIDDLE, None, 5e-4, 30, 16, pretrained=True),
    # Its author gives a batch of 8 to 16; 16 is what the strategies it is compared with use.
    Strategy("progressive", _MIDDLE, 4, 1e-4, 50, 16, pretrained=True),
    Strategy("full-finetune", None, None, 1e-5, 50, 8, pretrained=True),
)

STRATEGIES: Mapping[str, Strategy] = MappingProxyType({strategy.name: strategy for strategy in _POINTS})
