"""What a confirmation trains again, and the sweeps that it is made of."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

from glosstune.search.config.sweep import Sweep
from glosstune.spaces import SettingError
from glosstune.trainables.settings import Scoring

Per = Literal["trial", "strategy"]
Rules = Literal["none", Scoring]


@dataclass(frozen=True)
class Confirmation:
    """What to train again.

    Attributes:
        top: how many configurations were asked for; None of each strategy one.
        seeds: of each configuration, new ones.
        folds: over which folds of unseen signers, or none: the split of the sweep.
        per: the best trials of all, or the best one of each strategy.
        decode: ``greedy``, or ``beam:N`` to score a prefix beam search beside it.
        rules: ``none``, or a rule of ``corpus.scoring`` to score by beside the sweep's own.
        chosen: number, lowest WER on dev and configuration of each.
    """

    top: int | None
    seeds: Sequence[int]
    folds: Sequence[int]
    per: Per
    decode: str
    rules: Rules
    chosen: Sequence[Mapping[str, Any]]

    def parts(self, sweep: Sweep) -> dict[str, Sweep]:
        """The sweeps that it is made of, by the names of their folders."""
        if not self.folds:
            return {"seeds": self._part(sweep, {})}
        return {f"fold-{fold}": self._part(sweep, {"split": "unseen-signers", "fold": fold}) for fold in self.folds}

    def number(self, configuration: Mapping[str, Any]) -> int:
        """Which trial of the sweep one of the confirmation repeats."""
        return next(int(each["trial"]) for each in self.chosen if each["configuration"] == without_seed(configuration))

    def _part(self, sweep: Sweep, corpus: Mapping[str, Any]) -> Sweep:
        tree = sweep.resolved()
        tree["name"] = f"{sweep.name}-confirm"
        tree["corpus"] |= corpus
        tree["space"] |= {"seed": {"choice": list(self.seeds)}}
        # Seed after seed, so that what there is after an interruption is fair to all.
        points = [{**each["configuration"], "seed": seed} for seed in self.seeds for each in self.chosen]
        limits = dict.fromkeys(("time_budget_min", "epoch_budget", "patience_trials"))
        tree["search"] |= {"sampler": "random", "samples": len(points), "start_points": points, "warm_start": []}
        tree["search"] |= {"prior": "none", "stop_at_target": False, **limits}
        tree["halving"] |= {"kind": "none"}
        tree["stopping"] |= {"stuck_wer": None, "blank_ratio": None, "divergence": None, "rules": []}
        try:
            return Sweep.model_validate(tree)
        except SettingError as error:
            rule = f"a chosen trial lies outside the ranges that the sweep has now ({error})"
            raise SettingError(f"{rule}; widen them with glosstune resume FOLDER", key="space") from None


def without_seed(configuration: Mapping[str, Any]) -> dict[str, Any]:
    """A configuration of the sweep from one of its confirmation."""
    return {name: value for name, value in configuration.items() if name != "seed"}


def beam_width(decode: str) -> int | None:
    """The width that ``beam:10`` stands for; None for ``greedy``."""
    if decode == "greedy":
        return None
    width = decode.removeprefix("beam:")
    if not decode.startswith("beam:") or not width.isdecimal() or int(width) < 1:
        raise SettingError(f"must be 'greedy', or 'beam:' and a width, such as beam:10; got {decode!r}", key="--decode")
    return int(width)
