"""The search methods that are compared, by the name under which tables show them."""

from collections.abc import Callable
from functools import partial
from importlib.util import find_spec

from optuna.pruners import HyperbandPruner, SuccessiveHalvingPruner

from glosstune.search.config.sweep import Sweep
from replay.ours import Ours, TenRandom, Untruthful
from replay.pruned import Pruned, RandomSearch
from replay.simulator import Clock, Method
from replay.stock import Stock

Build = Callable[[Sweep, Clock, int], Method]

OURS = "ours"
STOCK = "Ray: OptunaSearch + ASHA"
STOCK_PLATEAU = "Ray: the same, TrialPlateauStopper"
RANDOM = "random search"


def _random(sweep: Sweep, clock: Clock, workers: int) -> Method:
    return RandomSearch(sweep)


def _stock(sweep: Sweep, clock: Clock, workers: int, *, plateau: bool = False) -> Method:
    return Stock(sweep, plateau=plateau)


def _halving(sweep: Sweep, clock: Clock, workers: int) -> Method:
    rungs = sweep.halving
    return Pruned(sweep, SuccessiveHalvingPruner(min_resource=rungs.min_epochs, reduction_factor=rungs.reduction))


def _hyperband(sweep: Sweep, clock: Clock, workers: int) -> Method:
    rungs, epochs = sweep.halving, sweep.training.epochs
    return Pruned(sweep, HyperbandPruner(rungs.min_epochs, epochs, rungs.reduction))


def _smac(sweep: Sweep, clock: Clock, workers: int) -> Method:
    from replay.model_based import Smac  # which needs the package

    return Smac(sweep)


def with_settings(sweep: Sweep, section: str, **values: object) -> Sweep:
    """The sweep with other values in a section."""
    return sweep.model_copy(update={section: getattr(sweep, section).model_copy(update=values)})


def _changed(build: Build, section: str, **values: object) -> Build:
    """The same method over the sweep with other values in a section."""
    return lambda sweep, clock, workers: build(with_settings(sweep, section, **values), clock, workers)


BASELINES: dict[str, Build] = {
    RANDOM: _random,
    STOCK: _stock,
    STOCK_PLATEAU: partial(_stock, plateau=True),
    "Ray: the same two, start points": _changed(partial(_stock, plateau=True), "search", start_points="strategies"),
    "Optuna: TPE, SuccessiveHalvingPruner": _halving,
    "Optuna: TPE, HyperbandPruner": _hyperband,
}
if find_spec("smac"):  # brings too many packages along to be required
    BASELINES["SMAC3: random forest, Hyperband"] = _smac
ABLATIONS: dict[str, Build] = {
    "ours, Optuna told COMPLETE": partial(Ours, kind=Untruthful),
    "ours, stopping for promoting": _changed(Ours, "halving", kind="stop"),
    "ours, WER alone": _changed(partial(Ours, floor=False), "stopping", stuck_wer=None, blank_ratio=None),
    "ours, warm-ups spared": _changed(Ours, "halving", spare_warmup=True),
    "ours, start points": _changed(Ours, "search", start_points="strategies"),
    "ours, ten random draws": partial(Ours, kind=TenRandom),
}
CONTESTANTS: dict[str, Build] = {**BASELINES, OURS: Ours, **ABLATIONS}
