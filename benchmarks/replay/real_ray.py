"""The simulation against a real Ray: one worker must run the same trials for the same epochs in the same order."""

import os
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any

# Ray decides on authentication at import; this one is reached from nowhere else.
os.environ.setdefault("RAY_AUTH_MODE", "disabled")
os.environ.setdefault("RAY_AIR_NEW_OUTPUT", "0")

import ray
from optuna.samplers import RandomSampler
from ray import tune

from glosstune.results.reading.epoch_metrics import METRICS
from glosstune.search.config.sweep import Sweep
from glosstune.search.driver.ray_tune import run_trials
from replay.contestants import with_settings
from replay.ours import Ours
from replay.simulator import Clock, Method, simulate
from replay.stock import Stock
from replay.surrogate import Configuration, Surrogate

_TRIALS = 9

Step = tuple[tuple[tuple[str, Any], ...], int]  # configuration, epoch


def check_ray(sweep: Sweep, surrogate: Surrogate) -> None:
    """Run a short search of ours and one of Ray's own both ways; raise SystemExit where they differ."""
    # Nothing is trained, so no weights have to be there; but trials are refused where none are named.
    plan = with_settings(sweep, "search", samples=_TRIALS).model_copy(update={"pretrained": "none.safetensors"})
    ray.init(num_cpus=2, include_dashboard=False, log_to_driver=False, logging_level="error")
    try:
        with tempfile.TemporaryDirectory() as folder:
            simulated = _simulate(_random_stock(plan), surrogate, Clock())
            _compare("Ray's ASHA", simulated, _run_stock(plan, surrogate, Path(folder)))
            clock = Clock()
            simulated = _simulate(Ours(plan, clock, workers=1), surrogate, clock)
            _compare("ours", simulated, _run_ours(plan, surrogate, Path(folder)))
    finally:
        ray.shutdown()


def _random_stock(plan: Sweep) -> Stock:
    return Stock(plan, sampler=RandomSampler(seed=plan.search.seed))


def _simulate(method: Method, surrogate: Surrogate, clock: Clock) -> list[Step]:
    run = simulate(method, surrogate.curve, clock, workers=1, limit_s=float("inf"), seed=0)
    return [_step(run.configurations[epoch.trial], epoch.epoch) for epoch in run.epochs]


def _run_stock(plan: Sweep, surrogate: Surrogate, folder: Path) -> list[Step]:
    stock, log = _random_stock(plan), _Log()
    tune.Tuner(
        tune.with_resources(tune.with_parameters(_Replay, surrogate=surrogate), {"cpu": 1}),
        tune_config=tune.TuneConfig(
            num_samples=_TRIALS,
            max_concurrent_trials=1,
            search_alg=stock.search,
            scheduler=stock.scheduler,
            reuse_actors=True,
        ),
        run_config=tune.RunConfig(name="stock", storage_path=str(folder), verbose=0, callbacks=[log]),
    ).fit()
    return log.steps


def _run_ours(plan: Sweep, surrogate: Surrogate, folder: Path) -> list[Step]:
    ours = Ours(plan, Clock(), workers=1)
    log = _Watcher(ours)
    replay = tune.with_parameters(_Replay, surrogate=surrogate, names=list(plan.space))
    run_trials(ours.scheduler, replay, folder, log)
    return log.steps


def _compare(name: str, simulated: list[Step], real: list[Step]) -> None:
    if simulated != real:
        place = next((i for i, pair in enumerate(zip(simulated, real, strict=False)) if pair[0] != pair[1]), None)
        where = f"first in epoch {place}" if place is not None else "in length"
        raise SystemExit(f"{name}: {len(simulated)} simulated epochs and {len(real)} real ones differ, {where}")
    trials = len({configuration for configuration, _ in real})
    print(f"{name}: {len(real)} epochs of {trials} trials, the same in the same order")


def _step(configuration: Configuration, epoch: int) -> Step:
    return tuple(sorted(configuration.items())), epoch


class _Replay(tune.Trainable):
    """A trial that reports its curve instead of training."""

    def setup(self, config: dict[str, Any], surrogate: Surrogate, names: Sequence[str] = ()) -> None:
        self._surrogate, self._names = surrogate, names
        self.reset_config(config)

    def reset_config(self, new_config: dict[str, Any]) -> bool:
        self._curve = self._surrogate.curve(new_config.get("configuration") or self._searched(new_config["settings"]))
        self._epoch = new_config.get("from_epoch", 0)
        return True

    def _searched(self, settings: dict[str, Any]) -> Configuration:
        """What a trial of ours was given from the space, all of which stands in one section of its settings."""
        return {name: value for name in self._names if (value := settings["tuned"][name]) is not None}

    def step(self) -> dict[str, Any]:
        metrics = self._curve[self._epoch]
        self._epoch += 1
        return {**dict.fromkeys(METRICS, 0.0), **metrics, "epoch_s": metrics["cpu_s"], "epoch": self._epoch}

    def save_checkpoint(self, checkpoint_dir: str) -> dict[str, Any]:
        return {}  # Ray asks for one at the end of a trial; a segment of ours says itself where it begins


class _Log(tune.Callback):
    """Notes what trials of Ray's own search report."""

    def __init__(self) -> None:
        self.steps: list[Step] = []

    def on_trial_result(self, iteration: int, trials: list[Any], trial: Any, result: Any, **info: Any) -> None:
        self.steps.append(_step(trial.config["configuration"], result["epoch"]))


class _Watcher:
    """Notes what trials of ours report."""

    def __init__(self, ours: Ours) -> None:
        self._trials = ours.scheduler.state.trials
        self.steps: list[Step] = []

    def begin(self, number: int) -> None: ...

    def report(self, number: int) -> None:
        trial = self._trials[number]
        self.steps.append(_step(trial.configuration, trial.epoch))

    def tick(self) -> None: ...
