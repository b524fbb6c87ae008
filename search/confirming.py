"""Train the best trials of a sweep again under new seeds, and score the test split once, at the very end.

A confirmation is itself made of sweeps, one for each fold: the chosen configurations are their start points, the seed
is one more parameter, and only a loss that is no number stops a trial. So it runs, is shown, and goes on after a crash
as every sweep does.
"""

import json
import math
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
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
from glosstune.results.remote import as_local
from glosstune.search.driving import SWEEP
from glosstune.search.launching import launch
from glosstune.search.manifest import read_manifest
from glosstune.search.ownership import refuse_links
from glosstune.search.resuming import resume
from glosstune.search.sweep import AUTO, Sweep, load_sweep
from glosstune.search.workplace import Workplace
from glosstune.spaces import SettingError
from glosstune.spaces.errors import FolderError
from glosstune.spaces.object_storage import is_uri
from glosstune.trainables import TrainingSession
from glosstune.trainables.corpora import pack_corpus
from glosstune.trainables.corpora.utterance import SPLITS
from glosstune.trainables.files import write_whole
from glosstune.trainables.phoenix_scoring import CLEAN_UPS
from glosstune.trainables.provenance import check_unseen
from glosstune.trainables.scoring import word_error_rate

FOLDER = "confirm"
PLAN = "plan.json"
UTTERANCES = "utterances.parquet"
SUMMARY = "confirmation.json"
FOLDS = range(1, 6)

Per = Literal["trial", "strategy"]
Rules = Literal["none", "phoenix2014", "phoenix2014t"]


@dataclass(frozen=True)
class Confirmation:
    """What to train again.

    Attributes:
        top: how many configurations were asked for; None of each strategy one.
        seeds: of each configuration, new ones.
        folds: over which folds of unseen signers, or none: the split of the sweep.
        per: the best trials of all, or the best one of each strategy.
        decode: ``greedy``, or ``beam:N`` to score a prefix beam search beside it.
        rules: ``none``, or ``phoenix2014`` or ``phoenix2014t`` to score after that corpus's clean-up as well.
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
    place: Path | str,
    *,
    top: int = 3,
    seeds: int = 5,
    folds: bool = False,
    per: Per = "trial",
    decode: str = "greedy",
    rules: Rules = "none",
    out: Path | None = None,
    console: Console | None = None,
) -> pd.DataFrame:
    """Confirm the best trials of the sweep in a folder and return the summary (see ``summarise_confirmation``).

    Called again after an interruption it goes on; once the test split is scored it only says what came out.

    Args:
        top: how many configurations; with ``per="strategy"`` the best one of each strategy instead.
        seeds: how often each is trained, under seeds that the sweep has not used.
        folds: repeat over the folds of unseen signers.
        decode: ``greedy``, or ``beam:10`` for a prefix beam search of that width beside it.
        rules: ``phoenix2014`` or ``phoenix2014t`` scores after that corpus's clean-up too.
        out: default ``confirm`` in the sweep's folder.
        console: where progress is shown; default standard error.

    Raises:
        SettingError: nothing to confirm, or other options than the confirmation in ``out`` began with.
        Driven: the sweep still runs.
        Interrupted: a signal ended it; the same command goes on.
    """
    if out is None and is_uri(place):
        raise SettingError("missing; a confirmation is kept in a folder, say in which", key="--out")
    folder = as_local(place)
    refuse_links(folder)
    out = (out or folder / FOLDER).expanduser().absolute()
    console = console or Console(stderr=True)
    sweep = load_sweep(folder / SWEEP)
    if is_uri(place):  # whose weights and teacher this machine may lack
        sweep = Workplace.at(place).with_inputs(sweep, read_manifest(folder))
    if folds and sweep.corpus.kind != "fingerspelling":
        raise SettingError("only the fingerspelling corpus has folds of signers; leave it out", key="--folds")
    results = load_results(folder)
    used = {sweep.training.seed, *_searched_seeds(results)}
    new = list(islice((seed for seed in count(1) if seed not in used), seeds))
    _beam(decode)
    chosen = _choose(results, top, per)
    wanted = Confirmation(
        None if per == "strategy" else top, new, list(FOLDS) if folds else [], per, decode, rules, chosen
    )
    wanted.parts(sweep)  # refuses what cannot be, before anything is written
    plan = _agree(place, out, wanted)
    numbers = [[each["trial"] for each in one.chosen] for one in (plan, wanted)]
    if numbers[0] != numbers[1]:
        told = "confirms trials {}, the best when it began; now these are {}: for them give another --out"
        console.print(told.format(*numbers), soft_wrap=True, highlight=False, markup=False)
    if not (out / UTTERANCES).exists():
        parts = plan.parts(sweep)
        _check_weights(parts)
        for name, part in parts.items():
            _train(out / name, part, console)
        _score(out, plan, parts, console)
    clusters = ["signer", "broadcast"] if sweep.corpus.kind == "phoenix" else ["signer"] * bool(plan.folds)
    try:
        utterances = pd.read_parquet(out / UTTERANCES)
    except Exception as error:  # pyarrow raises a different type for each kind of damage
        raise FolderError(f"{out / UTTERANCES}: is damaged ({error}); give another folder with --out") from error
    utterances["broadcast"] = utterances["key"].map(_broadcast)
    summary = summarise_confirmation(utterances, clusters)
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
    """Require that weights and teacher have seen nothing that any fold holds out, before hours go into the first."""
    for part in parts.values():
        for path in (None if part.pretrained == AUTO else part.pretrained, part.teacher):
            if path is not None:
                check_unseen(Path(path), read_weights(path).recorded, pack_corpus(part.corpus))


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


def _agree(place: Path | str, out: Path, wanted: Confirmation) -> Confirmation:
    """The plan that lies in ``out``, or the one that is wanted, which is then written there."""
    path = out / PLAN
    if not path.exists():
        with Workplace.at(place).owned():  # refuses while trials may still overtake those that are chosen
            pass
        out.mkdir(parents=True, exist_ok=True)
        text = json.dumps(wanted.__dict__, indent=1)
        write_whole(path, lambda partial: partial.write_text(text, encoding="utf-8"))
        return wanted
    try:
        kept = Confirmation(**json.loads(path.read_text(encoding="utf-8")))
    except (OSError, ValueError, TypeError) as error:
        raise FolderError(f"{path}: cannot be read as a plan ({error}); give another folder with --out") from error
    options = ("top", "folds", "per", "decode", "rules")
    differ = [name for name in options if getattr(kept, name) != getattr(wanted, name)]
    if differ or len(kept.seeds) != len(wanted.seeds):
        raise SettingError(f"{out} holds another confirmation (see {PLAN}); give another folder", key="--out")
    return kept


def _train(folder: Path, part: Sweep, console: Console) -> None:
    if (folder / RECORD).exists():
        ended = load_results(folder).trials["status"].isin(["finished", "stopped", "failed"])
        if ended.sum() < part.search.samples:
            resume(folder, console=console)
    else:
        launch(part, folder, console=console)


def _score(out: Path, plan: Confirmation, parts: Mapping[str, Sweep], console: Console) -> None:
    """Score dev and test with the best checkpoint of every trial, all in one go after all training.

    A trial that diverged counts with the best epoch that it had: that is what its configuration does.

    Raises:
        FolderError: a trial has not come to its end, so that what is compared would not be equal.
    """
    for name in parts:
        trials = load_results(out / name).trials
        ended = (trials["status"] == "finished") | (trials["stop_rule"] == "diverged").fillna(False)
        for trial in trials[~ended].to_dict("records"):
            why = trial["status"] if pd.isna(trial["error"]) else f"{trial['status']}: {trial['error']}"
            rule = f"trial {trial['trial']} {why}; every one has to finish before test is scored"
            log = f"see trials/{trial['trial_id']}/trial.log"
            raise FolderError(f"{out / name}: {rule} ({log}, mend it, remove {out / name} and confirm again)")
    console.print("scoring dev and test", highlight=False)
    rows = [row for name, part in parts.items() for row in _scored(out / name, part, plan)]
    table = pd.DataFrame(rows)
    write_whole(out / UTTERANCES, lambda partial: table.to_parquet(partial, index=False))


def _scored(folder: Path, part: Sweep, plan: Confirmation) -> Iterator[dict[str, Any]]:
    corpus = pack_corpus(part.corpus)
    signers = dict(zip(corpus.table["key"], corpus.table["signer"], strict=True))
    results = load_results(folder)
    sweep_wer = {int(each["trial"]): float(each["wer"]) for each in plan.chosen}
    decoders = {"greedy": None, plan.decode: _beam(plan.decode)}
    cleaners: dict[str, Callable[[list[str]], list[str]]] = {
        "": list,
        **({f", {plan.rules}": CLEAN_UPS[plan.rules]} if plan.rules in CLEAN_UPS else {}),
    }
    for trial in results.trials.to_dict("records"):
        if pd.isna(trial["best_checkpoint"]):
            raise FolderError(f"{folder}: trial {trial['trial']} has no best.pt")
        configuration = results.configuration(trial["trial"])
        repeated = plan.number(configuration)
        session = TrainingSession.of_checkpoint(Path(trial["best_checkpoint"]), corpus)
        for decoder, beam in decoders.items():
            for split in SPLITS[1:]:
                for row in session.score(split, beam).to_dict("records"):
                    told = {"trial": repeated, "sweep_wer": sweep_wer[repeated], "seed": configuration["seed"]}
                    told |= {"part": folder.name, "split": split, "key": row["key"], "signer": signers[row["key"]]}
                    for suffix, clean in cleaners.items():
                        reference, hypothesis = (clean(row[name].split()) for name in ("reference", "hypothesis"))
                        yield {"scoring": decoder + suffix, **told, **_count(reference, hypothesis)}


def _count(reference: Sequence[str], hypothesis: Sequence[str]) -> dict[str, Any]:
    # A clean-up may leave nothing of a reference: then all that was written is wrong.
    errors = round(word_error_rate([reference], [hypothesis]).wer * len(reference)) if reference else len(hypothesis)
    counts = {"glosses": len(reference), "errors": errors}
    return counts | {"reference": " ".join(reference), "hypothesis": " ".join(hypothesis)}


def _broadcast(key: str) -> str:
    """What PHOENIX's ``11August_2010_Wednesday_tagesschau_default-3`` was cut from; any other key is its own."""
    cut = re.fullmatch(r"(\d+[A-Z][a-z]+_\d{4}_.+)-\d+", key)
    return cut[1] if cut else key


def _beam(decode: str) -> int | None:
    """The width that ``beam:10`` stands for; None for ``greedy``."""
    if decode == "greedy":
        return None
    width = decode.removeprefix("beam:")
    if not decode.startswith("beam:") or not width.isdecimal() or int(width) < 1:
        raise SettingError(f"must be 'greedy', or 'beam:' and a width, such as beam:10; got {decode!r}", key="--decode")
    return int(width)
