"""Train the best trials of a sweep again under new seeds, and score the test split once, at the very end.

A confirmation is itself made of sweeps, one for each fold: the chosen configurations are their start points, the seed
is one more parameter, and only a loss that is no number stops a trial. So it runs, is shown, and goes on after a crash
as every sweep does.
"""

import json
import math
from collections.abc import Mapping, Sequence
from functools import cache
from itertools import count, islice
from pathlib import Path
from typing import Any

import pandas as pd
from rich.console import Console

from glosstune.models import read_weights
from glosstune.results import Results, load_results, rank_trials
from glosstune.results.analysis.confirmation import summarise_confirmation
from glosstune.results.reading.events import FAILED, FINISHED, STOPPED
from glosstune.results.reading.names import CONFIRM, PLAN, SUMMARY, SWEEP, UTTERANCES
from glosstune.results.reading.record import read_record
from glosstune.results.reading.remote import as_local
from glosstune.results.text import lines_to
from glosstune.search.config.changes import INPUTS, check_places, value_of
from glosstune.search.config.errors import Say
from glosstune.search.config.loading import load_sweep
from glosstune.search.config.rules import check_inputs
from glosstune.search.config.sections import AUTO
from glosstune.search.config.sweep import Sweep
from glosstune.search.confirm.plan import Confirmation, Per, Rules, beam_width, without_seed
from glosstune.search.confirm.scoring import find_broadcast, score_parts
from glosstune.search.driver.launching import launch
from glosstune.search.driver.resuming import resume
from glosstune.search.driver.weights import with_known_gains
from glosstune.search.storage.lock import refuse_links
from glosstune.search.storage.manifest import check_corpus, check_same, read_manifest
from glosstune.search.storage.sweep_folder import SweepFolder
from glosstune.spaces import SettingError
from glosstune.spaces.errors import CorpusError, FolderError
from glosstune.spaces.files.addresses import join
from glosstune.spaces.files.atomic import write_whole
from glosstune.spaces.files.bounded import open_regular, parse_json, read_text
from glosstune.trainables.corpora import open_corpus, pack_corpus
from glosstune.trainables.corpora.kinds import corpus_traits
from glosstune.trainables.corpora.provenance import check_unseen


def confirm(
    place: Path | str,
    overrides: Sequence[str] = (),
    *,
    top: int = 3,
    seeds: int = 5,
    folds: bool = False,
    per: Per = "trial",
    decode: str = "greedy",
    rules: Rules = "none",
    out: Path | str | None = None,
    console: Console | None = None,
) -> pd.DataFrame:
    """Confirm the best trials of the sweep in a folder and return the summary (see ``summarise_confirmation``).

    Called again after an interruption it goes on; once the test split is scored it only says what came out.

    Args:
        overrides: where corpus, weights and teacher lie now, such as ``corpus.root=/data/phoenix``.
        top: how many configurations; with ``per="strategy"`` the best one of each strategy instead.
        seeds: how often each is trained, under seeds that the sweep has not used.
        folds: repeat over the folds of unseen signers.
        decode: ``greedy``, or ``beam:10`` for a prefix beam search of that width beside it.
        rules: of ``corpus.scoring``, one to score by beside the sweep's own.
        out: folder or URI; default ``confirm`` below the sweep's.
        console: where progress is shown; default standard error.

    Raises:
        CorpusError, CheckpointError: where overrides say that corpus, weights or teacher lie, there are others, or what
            is to be read is not there.
        SettingError: nothing to confirm, an override of anything else, or other options than the confirmation in
            ``out`` began with.
        Driven: the sweep still runs.
        Interrupted: a signal ended it; the same command goes on.
    """
    check_places(overrides, "the trials of a sweep are trained again as they were")
    folder = as_local(place)
    refuse_links(folder)
    console = console or Console(stderr=True)
    say = lines_to(console)
    work = SweepFolder.at(out or join(str(place), CONFIRM), say)
    read_record(folder)  # which refuses one that is not whole: the best of the rest may not be the best
    results = load_results(folder)
    sweep = load_sweep(folder / SWEEP, overrides)
    traits = corpus_traits(sweep.corpus.kind)
    if folds and not traits.folds:
        raise SettingError(f"the {sweep.corpus.kind} corpus has no folds of signers; leave it out", key="--folds")
    used = {sweep.training.seed, *_searched_seeds(results)}
    new = list(islice((seed for seed in count(1) if seed not in used), seeds))
    beam_width(decode)
    chosen = _choose(results, top, per)
    wanted = Confirmation(
        None if per == "strategy" else top, new, _folds(sweep) if folds else [], per, decode, rules, chosen
    )
    wanted.parts(sweep)  # refuses what cannot be, before anything is written
    scored = work.files.fetch(UTTERANCES)
    if scored is None:
        sweep = _as_it_began(SweepFolder.at(place, say), folder, sweep, folds, say)
        _check_test(wanted.parts(sweep))
    plan = _agree(place, work, wanted)
    numbers = [[each["trial"] for each in one.chosen] for one in (plan, wanted)]
    if numbers[0] != numbers[1]:
        told = "confirms trials {}, the best when it began; now these are {}: for them give another --out"
        say(told.format(*numbers))
    if scored is None:
        scored = _score(work, plan, plan.parts(sweep), console)
    clusters = traits.clusters or ("signer",) * bool(plan.folds)
    try:
        with open_regular(scored) as file:
            utterances = pd.read_parquet(file)
    except Exception as error:  # pyarrow raises a different type for each kind of damage
        raise FolderError(f"{work.place}: {UTTERANCES} is damaged ({error}); give another place with --out") from error
    utterances["broadcast"] = utterances["key"].map(find_broadcast)
    # What the sweep itself is scored by comes first.
    summary = summarise_confirmation(utterances, clusters, own=str(utterances["scoring"].iloc[0]))
    if plan.folds:
        summary["optimism"] = math.nan  # the sweep's own figure is of another split
    plain = summary.astype(object).where(summary.notna(), None).to_dict("records")
    work.write(SUMMARY, json.dumps(plain, indent=1, allow_nan=False))
    return summary


def _as_it_began(work: SweepFolder, folder: Path, sweep: Sweep, folds: bool, say: Say) -> Sweep:
    """A sweep, of which a folder is a copy, with the corpus, gains, weights and teacher that it began with."""
    manifest = read_manifest(folder)
    makes_weights = sweep.pretrained == AUTO
    sweep = work.with_inputs(sweep, say)
    check_inputs(sweep)
    check_corpus(work.place, manifest, pack_corpus(sweep.corpus), sweep.corpus)
    check_same(manifest, sweep)
    if folds:  # each makes its own weights and gains: those of the sweep may have seen whom it holds out
        return sweep.model_copy(update={"pretrained": AUTO}) if makes_weights else sweep
    return with_known_gains(sweep, manifest["gains"]) if sweep.corpus.gains.blocks == "auto" else sweep


def _folds(sweep: Sweep) -> list[int]:
    corpus = open_corpus(sweep.corpus.model_copy(update={"split": "unseen-signers", "fold": 1}))
    return list(range(1, corpus.folds + 1))


def _searched_seeds(results: Results) -> set[int]:
    return {int(seed) for seed in results.trials["seed"].dropna()} if "seed" in results.trials else set()


def _check_test(parts: Mapping[str, Sweep]) -> None:
    """Require that every part has something to be scored on in the end, before a plan is written or a trial trains."""
    for part in parts.values():
        if not pack_corpus(part.corpus).rows("test"):
            rule = "split test: no utterance, and a confirmation is scored on test"
            raise CorpusError(
                f"{part.corpus.root or part.corpus.kind} ({part.corpus.split}): {rule}; say which are test"
            )


def _check_weights(parts: Mapping[str, Sweep]) -> None:
    """Require that weights and teacher have seen nothing that any fold holds out, before hours go into the first."""
    recorded = cache(lambda path: read_weights(path).recorded)
    for part in parts.values():
        for path in (None if part.pretrained == AUTO else part.pretrained, part.teacher):
            if path is not None:
                check_unseen(Path(path), recorded(str(path)), pack_corpus(part.corpus))


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
        configuration = without_seed(results.configuration(int(row["trial"])))
        told = {"trial": int(row["trial"]), "wer": float(row["value"]), "configuration": configuration}
        chosen.setdefault(json.dumps(configuration, sort_keys=True), told)
    return list(chosen.values())[:top]


def _agree(place: Path | str, work: SweepFolder, wanted: Confirmation) -> Confirmation:
    """The plan that lies in the place of the confirmation, or the one that is wanted, which is then written there."""
    path = work.files.fetch(PLAN)
    if path is None:
        with SweepFolder.at(place).owned():  # refuses while trials may still overtake those that are chosen
            pass
        work.files.check_usable()
        work.write(PLAN, json.dumps(wanted.__dict__, indent=1))
        return wanted
    try:
        kept = Confirmation(**parse_json(read_text(path)))
    except (OSError, ValueError, TypeError) as error:
        rule = f"{PLAN} cannot be read as a plan ({error})"
        raise FolderError(f"{work.place}: {rule}; give another place with --out") from error
    options = ("top", "folds", "per", "decode", "rules")
    differ = [name for name in options if getattr(kept, name) != getattr(wanted, name)]
    if differ or len(kept.seeds) != len(wanted.seeds):
        raise SettingError(f"{work.place} holds another confirmation (see {PLAN}); give another place", key="--out")
    return kept


def _score(work: SweepFolder, plan: Confirmation, parts: Mapping[str, Sweep], console: Console) -> Path:
    """Train what is left of a confirmation, then score it, all in one go; the file of utterances."""
    _check_weights(parts)
    for name, part in parts.items():
        _train(join(work.place, name), part, console)
    console.print("scoring dev and test", highlight=False)
    table = score_parts(work.place, plan, parts)
    write_whole(work.folder / UTTERANCES, lambda partial: table.to_parquet(partial, index=False))
    work.files.send(UTTERANCES)
    return work.folder / UTTERANCES


def _train(place: str, part: Sweep, console: Console) -> None:
    if not SweepFolder.at(place).begun:
        launch(part, place, console=console)
    elif load_results(place).trials["status"].isin([FINISHED, STOPPED, FAILED]).sum() < part.search.samples:
        resume(place, _inputs(part), console=console)


def _inputs(part: Sweep) -> list[str]:
    """Overrides that say where all lies that a part begins from, which may have moved since.

    Weights that a sweep makes itself lie nowhere, and a part may have been told of a file of them when it began.
    """
    values = {key: value_of(part, key) for key in INPUTS}
    return [f"{key}={json.dumps(value)}" for key, value in values.items() if (key, value) != ("pretrained", AUTO)]
