"""The search methods that are compared, by the name under which tables show them."""

import random
from collections.abc import Callable, Sequence
from functools import partial
from importlib.util import find_spec

from optuna.pruners import HyperbandPruner, SuccessiveHalvingPruner

from glosstune.search.config.sweep import Sweep
from glosstune.search.scheduler.experience.known import KnownSweep
from glosstune.search.scheduler.experience.prior import Prior
from glosstune.search.scheduler.suggesting import PRIOR_DRAWS
from replay.ours import Ours
from replay.pruned import Pruned, RandomSearch
from replay.simulator import Clock, Method
from replay.stock import Stock

# What it is to search, the clock, how many workers there are, and other sweeps that it may know of.
Build = Callable[[Sweep, Clock, int, Sequence[KnownSweep]], Method]

OURS = "ours"
RANDOM = "random search"
STOCK = "Ray: OptunaSearch + ASHA"
STOCK_PLATEAU = "Ray: the same, TrialPlateauStopper"


def _random(sweep: Sweep, clock: Clock, workers: int, known: Sequence[KnownSweep]) -> Method:
    return RandomSearch(sweep)


def _stock(sweep: Sweep, clock: Clock, workers: int, known: Sequence[KnownSweep], *, plateau: bool = False) -> Method:
    return Stock(sweep, plateau=plateau)


def _halving(sweep: Sweep, clock: Clock, workers: int, known: Sequence[KnownSweep]) -> Method:
    rungs = sweep.halving
    return Pruned(sweep, SuccessiveHalvingPruner(min_resource=rungs.min_epochs, reduction_factor=rungs.reduction))


def _hyperband(sweep: Sweep, clock: Clock, workers: int, known: Sequence[KnownSweep]) -> Method:
    rungs, epochs = sweep.halving, sweep.training.epochs
    return Pruned(sweep, HyperbandPruner(rungs.min_epochs, epochs, rungs.reduction))


def _smac(sweep: Sweep, clock: Clock, workers: int, known: Sequence[KnownSweep]) -> Method:
    from replay.model_based import Smac  # which needs the package

    return Smac(sweep)


def _ours(
    sweep: Sweep, clock: Clock, workers: int, known: Sequence[KnownSweep], *, prior: bool = True, floor: bool = True
) -> Method:
    return Ours(sweep, clock, workers, floor=floor, known=known if prior else ())


def with_settings(sweep: Sweep, section: str, **values: object) -> Sweep:
    """The sweep with other values in a section."""
    return sweep.model_copy(update={section: getattr(sweep, section).model_copy(update=values)})


def _changed(build: Build, section: str, **values: object) -> Build:
    """The same method over the sweep with other values in a section."""
    return lambda sweep, clock, workers, known: build(with_settings(sweep, section, **values), clock, workers, known)


def _with_prior(build: Build) -> Build:
    """The same method, which tries first what ours draws first: every other one like the best of other sweeps."""

    def built(sweep: Sweep, clock: Clock, workers: int, known: Sequence[KnownSweep]) -> Method:
        generator, prior = random.Random(sweep.search.seed), Prior(known)
        draws = [prior.first, *(prior.draw for _ in range(PRIOR_DRAWS // 2 - 1))]
        pairs = [(draw(sweep.space, generator), sweep.space.sample(generator)) for draw in draws]
        points = tuple(point for pair in pairs for point in pair)
        return build(with_settings(sweep, "search", start_points=points), clock, workers, known)

    return built


def _rows(build: Build, name: str) -> dict[str, Build]:
    return {name: build, f"{name}, prior": _with_prior(build)}


BASELINES: dict[str, Build] = {
    **_rows(_random, RANDOM),
    **_rows(_stock, STOCK),
    **_rows(partial(_stock, plateau=True), STOCK_PLATEAU),
    f"{STOCK}, prior, first rung at 1": _with_prior(_changed(_stock, "halving", min_epochs=1)),
    **_rows(_halving, "Optuna: TPE, SuccessiveHalvingPruner"),
    **_rows(_hyperband, "Optuna: TPE, HyperbandPruner"),
}
if find_spec("smac"):  # brings too many packages along to be required
    BASELINES |= _rows(_smac, "SMAC3: random forest, Hyperband")
_PARTS: dict[str, Build] = {
    "ours, no prior": partial(_ours, prior=False),
    "ours, no lead": _changed(_ours, "halving", lead=0.0),
    "ours, neither": _changed(partial(_ours, prior=False), "halving", lead=0.0),
    "ours, neither, stopping for promoting": _changed(partial(_ours, prior=False), "halving", kind="stop"),
    "ours, WER alone": _changed(partial(_ours, floor=False), "stopping", stuck_wer=None, blank_ratio=None),
}
CONTESTANTS: dict[str, Build] = {**BASELINES, OURS: _ours, **_PARTS}
