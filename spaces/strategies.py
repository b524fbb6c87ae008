"""The five freezing strategies as named points, with the figures their author found."""

from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType


@dataclass(frozen=True)
class Strategy:
    """A recipe to start from: what is frozen, for how long, and at which rate it trains.

    ``freeze_until`` names the first layer that trains, None freezes nothing; where ``unfreeze_stages`` is
    set, the stages say what is frozen at which epoch. ``pretrained``: it needs weights to start from.
    """

    name: str
    freeze_until: str | None
    unfreeze_stages: int | None
    learning_rate: float
    epochs: int
    batch_size: int
    pretrained: bool


_POINTS = (
    Strategy("baseline", None, None, 5e-4, 50, 16, pretrained=False),
    Strategy("feature-extraction", "mixed_5c", None, 1e-3, 20, 16, pretrained=True),
    Strategy("fine-tune", "mixed_4f", None, 5e-4, 30, 16, pretrained=True),
    # Its author gives 8 to 16; 16 is what the strategies it is compared with use.
    Strategy("progressive", "mixed_4f", 4, 1e-4, 50, 16, pretrained=True),
    Strategy("full-finetune", None, None, 1e-5, 50, 8, pretrained=True),
)

STRATEGIES: Mapping[str, Strategy] = MappingProxyType({strategy.name: strategy for strategy in _POINTS})
