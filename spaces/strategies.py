"""The five freezing strategies as named points, with the figures their author found."""

from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType


@dataclass(frozen=True)
class Strategy:
    """A recipe to start from: what is frozen, for how long, and at which rate it trains.

    ``freeze_until`` is the depth that training starts at, one of DEPTHS, which every network knows a layer for; None
    freezes nothing. Where ``unfreeze_stages`` is set, as many stages, or one a group of layers where the network has
    fewer, say what is frozen at which epoch. ``pretrained``: it needs weights to start from.
    """

    name: str
    freeze_until: str | None
    unfreeze_stages: int | None
    learning_rate: float
    epochs: int
    batch_size: int
    pretrained: bool


DEPTHS = ("last", "middle")  # layers before the head: the last alone trains, or about half of them

_POINTS = (
    Strategy("baseline", None, None, 5e-4, 50, 16, pretrained=False),
    Strategy("feature-extraction", "last", None, 1e-3, 20, 16, pretrained=True),
    Strategy("fine-tune", "middle", None, 5e-4, 30, 16, pretrained=True),
    # Its author gives a batch of 8 to 16; 16 is what the strategies it is compared with use.
    Strategy("progressive", "middle", 4, 1e-4, 50, 16, pretrained=True),
    Strategy("full-finetune", None, None, 1e-5, 50, 8, pretrained=True),
)

STRATEGIES: Mapping[str, Strategy] = MappingProxyType({strategy.name: strategy for strategy in _POINTS})
