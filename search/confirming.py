"""Train the best trials of a sweep again under new seeds, and score the test split once, at the very end.

A confirmation is itself made of sweeps, one for each fold: the chosen configurations are their start points, the seed
is one more parameter, and no rule stops a trial. So it runs, is shown, and goes on after a crash as every sweep does.
"""

import json
import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import count, islice
from pathlib import Path
from typing import Any, Literal

import pandas as pd
from rich.console import Console

from glosstune.models import read_weights
from glosstune.results import Results, load_results, rank_trials
from glosstune.results.confirmation import summarise_confirmation
from glosstune.results.record import RECORD
from glosstune.search.driving import SWEEP
from glosstune.search.launch import launch
from glosstune.search.resuming import resume
from glosstune.search.sweep import AUTO, Sweep, load_sweep
from glosstune.spaces import SettingError
from glosstune.spaces.errors import FolderError
from glosstune.trainables import TrainingSession
from glosstune.trainables.corpora import pack_corpus
from glosstune.trainables.files import write_whole
from glosstune.trainables.provenance import check_unseen
from glosstune.trainables.scoring import word_error_rate

FOLDER = "confirm"
PLAN = "plan.json"
UTTERANCES = "utterances.parquet"
SUMMARY = "confirmation.json"
FOLDS = range(1, 6)

Per = Literal["trial", "strategy"]


@dataclass(frozen=True)
class Confirmation:
    """What to train again.

    Attributes:
        seeds: of each configuration, new ones.
        folds: over which folds of unseen signers, or none: the split of the sweep.
        per: the best trials of all, or the best one of each strategy.
        chosen: number, lowest WER on dev and configuration of each.
    """

    seeds: Sequence[int]
    folds: Sequence[int]
    per: Per
    chosen: Sequence[Mapping[str, Any]]

    def parts(self, sweep: Sweep) -> dict[str, Sweep]:
        """The sweeps that it is made of, by the names of their folders."""
        if not self.folds:
            return {"seeds": self._part(sweep, {})}
        return {f"fold-{fold}": self._part(sweep, {"split": "unseen-signers", "fold": fold}) for fold in self.folds}

    def number(self, configuration: Mapping[str, Any]) -> int:
        """Which trial of the sweep one of the confirmation repeats."""
        return next(int(each["trial"]) for each in self.chosen if each["configuration"] == _without_seed(configuration))

    def _part(self, sweep: Sweep, corpus: Mapping[str, Any]) -> Sweep:
        tree = sweep.resolved()
        tree["name"] = f"{sweep.name}-confirm"
        tree["corpus"] |= corpus
        tree["space"] |= {"seed": {"choice": list(self.seeds)}}
        # Seed after seed, so that what there is after an interruption is fair to all.
        points = [{**each["configuration"], "seed": seed} for seed in self.seeds for each in self.chosen]
        limits = dict.fromkeys(("time_budget_min", "epoch_budget", "patience_trials"))
        tree["search"] |= {"sampler": "random", "samples": len(points), "start_points": points, "warm_start": []}
        tree["search"] |= {"stop_at_target": False, **limits}
        tree["halving"] |= {"kind": "none"}
        tree["stopping"] |= {"stuck_wer": None, "blank_ratio": None, "divergence": None}
        try:
            return Sweep.model_validate(tree)
        except SettingError as error:
            rule = f"a chosen trial lies outside the ranges that the sweep has now ({error})"
            raise SettingError(f"{rule}; widen them with glosstune resume FOLDER", key="space") from None


def confirm(
    folder: Path,
    *,
    top: int = 3,
    seeds: int = 5,
    folds: bool = False,
    per: Per = "trial",
    out: Path | None = None,
    console: Console | None = None,
) -> pd.DataFrame:
    """Confirm the best trials of the sweep in a folder and return the summary (see ``summarise_confirmation``).

    Called again after an interruption it goes on; once the test split is scored it only says what came out.

    Args:
        top: how many configurations; with ``per="strategy"`` the best one of each strategy instead.
        seeds: how often each is trained, under seeds that the sweep has not used.
        folds: repeat over the folds of unseen signers.
        out: default ``confirm`` in the sweep's folder.
        console: where progress is shown; default standard error.

    Raises:
        SettingError: nothing to confirm, or other options than the confirmation in ``out`` began with.
        Interrupted: a signal ended it; the same command goes on.
    """
    folder = folder.expanduser().absolute()
    out = (out or folder / FOLDER).expanduser().absolute()
    console = console or Console(stderr=True)
    sweep = load_sweep(folder / SWEEP)
    if folds and sweep.corpus.kind != "fingerspelling":
        raise SettingError("only the fingerspelling corpus has folds of signers; leave it out", key="--folds")
    results = load_results(folder)
    used = {sweep.training.seed, *_searched_seeds(results)}
    new = list(islice((seed for seed in count(1) if seed not in used), seeds))
    wanted = Confirmation(new, list(FOLDS) if folds else [], per, _choose(results, top, per))
    wanted.parts(sweep)  # refuses what cannot be, before anything is written
    plan = _agree(out, wanted)
    if not (out / UTTERANCES).exists():
        parts = plan.parts(sweep)
        _check_weights(parts)
        for name, part in parts.items():
            _train(out / name, part, console)
        _score(out, plan, parts, console)
    summary = summarise_confirmation(pd.read_parquet(out / UTTERANCES), clusters=["signer"] if plan.folds else [])
    if plan.folds:
        summary["optimism"] = math.nan  # the sweep's own figure is of another split
    plain = summary.astype(object).where(summary.notna(), None).to_dict("records")
    told = json.dumps(plain, indent=1, allow_nan=False)
    write_whole(out / SUMMARY, lambda partial: partial.write_text(told, encoding="utf-8"))
    return summary


def _without_seed(configuration: Mapping[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in configuration.items() if name != "seed"}


def _searched_seeds(results: Results) -> set[int]:
    return {int(seed) for seed in results.trials["seed"].dropna()} if "seed" in results.trials else set()


def _check_weights(parts: Mapping[str, Sweep]) -> None:
    """Require that given weights have seen nothing that any fold holds out, before hours go into the first one."""
    for part in parts.values():
        if part.pretrained not in (None, AUTO):
            path = Path(str(part.pretrained))
            check_unseen(path, read_weights(path).recorded, pack_corpus(part.corpus))


def _choose(results: Results, top: int, per: Per) -> list[dict[str, Any]]:
    ranked = rank_trials(results)
    if ranked.empty:
        raise SettingError(f"no trial in {results.folder} has reported a WER", key="FOLDER")
    if per == "strategy":
        if "strategy" not in ranked:
            raise SettingError("the sweep has no parameter 'strategy'", key="--per")
        ranked, top = ranked.drop_duplicates("strategy"), len(ranked)
    chosen: dict[str, dict[str, Any]] = {}  # a configuration may have been tried twice
    for _, row in ranked.iterrows():
        configuration = _without_seed(results.configuration(int(row["trial"])))
        told = {"trial": int(row["trial"]), "wer": float(row["value"]), "configuration": configuration}
        chosen.setdefault(json.dumps(configuration, sort_keys=True), told)
    return list(chosen.values())[:top]


def _agree(out: Path, wanted: Confirmation) -> Confirmation:
    """The plan that lies in ``out``, or the one that is wanted, which is then written there."""
    path = out / PLAN
    if not path.exists():
        out.mkdir(parents=True, exist_ok=True)
        text = json.dumps({**wanted.__dict__, "seeds": list(wanted.seeds)}, indent=1)
        write_whole(path, lambda partial: partial.write_text(text, encoding="utf-8"))
        return wanted
    try:
        kept = Confirmation(**json.loads(path.read_text(encoding="utf-8")))
    except (OSError, ValueError, TypeError) as error:
        raise FolderError(f"{path}: cannot be read as a plan ({error}); give another folder with --out") from error
    options = ("seeds", "folds", "per")
    differ = [name for name in options if list(getattr(kept, name)) != list(getattr(wanted, name))]
    if differ or (wanted.per == "trial" and len(kept.chosen) != len(wanted.chosen)):
        raise SettingError(f"{out} holds another confirmation (see {PLAN}); give another folder", key="--out")
    return kept


def _train(folder: Path, part: Sweep, console: Console) -> None:
    if (folder / RECORD).exists():
        if (load_results(folder).trials["status"] == "finished").sum() < part.search.samples:
            resume(folder, console=console)
    else:
        launch(part, folder, console=console)


def _score(out: Path, plan: Confirmation, parts: Mapping[str, Sweep], console: Console) -> None:
    """Score dev and test with the best checkpoint of every trial, all in one go after all training.

    Raises:
        FolderError: a trial has not come to its end, so that what is compared would not be equal.
    """
    for name in parts:
        trials = load_results(out / name).trials
        for trial in trials[trials["status"] != "finished"].to_dict("records"):
            why = trial["status"] if pd.isna(trial["error"]) else f"{trial['status']}: {trial['error']}"
            rule = f"trial {trial['trial']} {why}; every one has to finish before test is scored"
            raise FolderError(f"{out / name}: {rule} (see trials/{trial['trial_id']}/trial.log)")
    console.print("scoring dev and test", highlight=False)
    rows = [row for name, part in parts.items() for row in _scored(out / name, part, plan)]
    table = pd.DataFrame(rows)
    write_whole(out / UTTERANCES, lambda partial: table.to_parquet(partial, index=False))


def _scored(folder: Path, part: Sweep, plan: Confirmation) -> Iterator[dict[str, Any]]:
    corpus = pack_corpus(part.corpus)
    signers = dict(zip(corpus.table["key"], corpus.table["signer"], strict=True))
    results = load_results(folder)
    sweep_wer = {int(each["trial"]): float(each["wer"]) for each in plan.chosen}
    for trial in results.trials.to_dict("records"):
        if pd.isna(trial["best_checkpoint"]):
            raise FolderError(f"{folder}: trial {trial['trial']} has no best.pt")
        configuration = results.configuration(trial["trial"])
        repeated = plan.number(configuration)
        session = TrainingSession.of_checkpoint(Path(trial["best_checkpoint"]), corpus)
        for split in ("dev", "test"):
            for row in session.score(split).to_dict("records"):
                reference, hypothesis = row["reference"].split(), row["hypothesis"].split()
                errors = round(word_error_rate([reference], [hypothesis]).wer * len(reference))
                yield {
                    "trial": repeated,
                    "sweep_wer": sweep_wer[repeated],
                    "seed": configuration["seed"],
                    "part": folder.name,
                    "split": split,
                    "key": row["key"],
                    "signer": signers[row["key"]],
                    "glosses": len(reference),
                    "errors": errors,
                    "reference": row["reference"],
                    "hypothesis": row["hypothesis"],
                }
