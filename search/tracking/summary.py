"""What a user reads when a sweep is over."""

from collections.abc import Iterator, Sequence

import pandas as pd
from rich.console import Console

from glosstune.results import INDICATORS, Results, compare_strategies, draw_curves
from glosstune.results.reading.epoch_metrics import by_scoring
from glosstune.results.reading.events import (
    EPOCH_RESERVE,
    FAILED,
    FINISHED,
    INTERRUPT,
    PATIENCE,
    TIME_RESERVE,
    SettingsChanged,
    SweepOver,
    SweepResumed,
)
from glosstune.results.reading.frames import STARTS_AGAIN
from glosstune.results.reading.names import CURVES, TRIAL_LOG, TRIALS
from glosstune.results.reading.objectives import NO_FRONT
from glosstune.results.reading.record import read_record
from glosstune.results.text import align, lines_to
from glosstune.search.scheduler.ranking import PLATEAU_WER
from glosstune.search.storage.manifest import read_manifest
from glosstune.search.storage.sweep_folder import SweepFolder
from glosstune.search.tracking.display import describe
from glosstune.spaces.errors import FolderError, quoted
from glosstune.spaces.files.addresses import is_uri, join

_MOST_FAULTS = 5
# The key of a budget by the rules that end a sweep for it.
_BUDGETS = {
    "time budget": "time_budget_min",
    TIME_RESERVE: "time_budget_min",
    "epoch budget": "epoch_budget",
    EPOCH_RESERVE: "epoch_budget",
}
_MOST_OF_FRONT = 8
_HEADINGS = ("", "trials", "best WER", "at epoch", "learning rate", "epochs spent")


def keep_picture(results: Results) -> None:
    """Draw the curves of a sweep into its folder; nothing where no trial has reported a WER."""
    if results.trials["wer_best"].notna().any():
        draw_curves(results, results.folder / CURVES)
        SweepFolder.at(results.place).files.send(CURVES, results.folder / CURVES)


def summarise(results: Results, console: Console) -> None:
    """Print the best trial, its WER and configuration, what each strategy reached, where all lies and what is next."""
    trials = results.trials
    counts = ", ".join(f"{count} {status}" for status, count in trials["status"].value_counts().items())
    if trials["wer_best"].isna().all():
        where = f"read {join(results.place, TRIALS)}/*/{TRIAL_LOG}" if counts else "it ended before the first trial"
        for line in (f"no trial reported a WER ({counts or 'none started'}); {where}", *_end(results)):
            lines_to(console)(line)
        return
    best = results.best
    target = results.target
    scored = by_scoring(results.scoring)
    above = best["wer_best"] - target
    verdict = "reached" if above < 0 else f"not reached, {100 * above:.1f} points above"
    lines = [
        f"trials    {counts}",
        f"best      trial {best['trial']}: WER {best['wer_best']:.1%}{scored} on dev at epoch {best['epoch_of_best']}",
        f"target    {target:.0%}: {verdict}",
        f"success   {_describe_indicators(best)}",
        f"recipe    {describe(results.configuration(int(best['trial'])))}",
        *_list_front(results),
        *_compare(trials),
        *_judge_teacher(results),
        *_list_faults(results),
        f"folder    {results.place}",
        f"weights   {best['best_checkpoint']}",
        f"picture   {join(results.place, CURVES)}",
        *_end(results),
    ]
    for line in lines:
        lines_to(console)(line)


def _end(results: Results) -> Iterator[str]:
    """Why it ended, if not because all was done, and the commands that look at it and go on with it."""
    trials, place, over = results.trials, quoted(results.place), _over(results)
    if over is not None:
        yield f"ended     {over.reason}"
    if trials["wer_best"].isna().all():
        failed = trials.loc[trials["status"] == FAILED, "trial"]
        told = f"resume {place}" if failed.empty else f"explain {place} {failed.iloc[0]}"
        yield f"next      glosstune {told}"
        return
    best, epochs = results.best, results.sweeps["epochs"].iloc[0]
    if over is not None and best["status"] not in (FINISHED, FAILED):
        yield f"cut off   trial {best['trial']}, the best, after {best['epochs']} of {epochs} epochs"
    yield f"look      glosstune report {place}"
    sweep = results.sweeps.iloc[0]
    limits = results.section("search", sweep["sweep"])
    budget = _BUDGETS.get("" if over is None else over.rule)
    if budget is not None:
        told = f"resume {place} search.{budget}={2 * limits.get(budget, 0):g}"
    elif over is not None and over.rule == INTERRUPT:
        told = f"resume {place}"
    elif best["wer_best"] < sweep["target"]:
        told = f"confirm {place}"
    elif best["wer_best"] >= PLATEAU_WER and not is_uri(results.place):
        told = f"diagnose --trial {place} {best['trial']}"
    else:
        told = f"resume {place} --samples +{sweep['samples']}"
    yield f"next      glosstune {told}"


def _over(results: Results) -> SweepOver | None:
    """What ended it; None where all was done."""
    over = None
    for event in read_record(results.folder).events:
        if isinstance(event, SweepOver):
            over = event
        elif isinstance(event, SweepResumed | SettingsChanged):
            over = None
    return None if over is None or over.rule == PATIENCE else over


def _list_front(results: Results) -> Iterator[str]:
    """What the search weighed against each other, and a line for each trial of the front; none for WER alone."""
    if results.sweeps["objectives"].isna().all():
        return
    front, (metric, *costs) = results.front, results.objectives
    if front.empty:
        yield f"front     {NO_FRONT}"
        return
    figures = costs if metric == "wer" else [metric, *costs]
    rows = [["trial", "WER", *figures]]
    for row in front.assign(**{metric: results.lowest(metric)}).head(_MOST_OF_FRONT).to_dict("records"):
        rows.append([str(row["trial"]), f"{row['wer_best']:.1%}", *(_figure(row[name]) for name in figures)])
    for place, line in enumerate(align(rows)):
        yield f"{'' if place else 'front':10}{line}"
    if len(front) > _MOST_OF_FRONT:
        yield f"{'':10}and {len(front) - _MOST_OF_FRONT} more: glosstune results {quoted(results.place)} --front"


def _figure(amount: float) -> str:
    return f"{amount:,.0f}" if amount >= 1000 else f"{amount:.3g}"


def _list_faults(results: Results) -> Iterator[str]:
    """What went wrong on the way, and what became of it; nothing where all went well."""
    trials, decisions = results.trials, results.decisions
    again = decisions[decisions["decision"] == STARTS_AGAIN]
    failed = trials[trials["status"] == FAILED]
    told = []
    if len(again):
        what = "process" if len(again) == 1 else "processes"
        told.append(f"{len(again)} {what} died, of {_numbers(again['trial'])}; every one began again or was given up")
    halved = results.epochs[(results.epochs["micro_batches"] > 1).fillna(False)]
    if len(halved):
        told.append(f"{_numbers(halved['trial'])} went on with batches in two parts, out of memory")
    reasons = failed["error"].fillna(failed["stop_rule"])
    told += [f"trial {number} failed: {reason}" for number, reason in zip(failed["trial"], reasons, strict=True)]
    for place, line in enumerate(told[:_MOST_FAULTS]):
        yield f"{'' if place else 'faults':10}{line}"
    if len(told) > _MOST_FAULTS:
        yield f"{'':10}and {len(told) - _MOST_FAULTS} more: glosstune results {quoted(results.place)}"


def _numbers(trials: pd.Series) -> str:
    numbers = sorted(set(trials))
    shown = ", ".join(map(str, numbers[:10])) + (", …" if len(numbers) > 10 else "")
    return f"trial {shown}" if len(numbers) == 1 else f"trials {shown}"


def _judge_teacher(results: Results) -> Iterator[str]:
    """How the best trial stands to the teacher of the sweep; nothing where there is none."""
    try:
        teacher = read_manifest(results.folder)["teacher"]
    except FolderError:  # whoever moved it away does without this line
        return
    if teacher is None:
        return
    gap = results.best["wer_best"] - teacher["wer"]
    yield f"teacher   WER {teacher['wer']:.1%} on dev, {'better by' if gap >= 0 else 'worse by'} {abs(gap):.1%}"
    if gap < 0:
        yield (
            f"warning   the teacher ({teacher['wer']:.1%}) is worse than the best trial "
            f"({results.best['wer_best']:.1%}): glosstune sweep student tells what it is worth without one"
        )


def _describe_indicators(trial: pd.Series) -> str:
    """What the trial reached, missed and was not trained long enough for, in words."""
    words: dict[str, list[str]] = {"reached": [], "missed": [], "not decided": []}
    for name, indicator in INDICATORS.items():
        verdict = "not decided" if pd.isna(trial[name]) else "reached" if trial[name] else "missed"
        words[verdict].append(indicator)
    return "; ".join(f"{verdict}: {', '.join(names)}" for verdict, names in words.items() if names)


def _compare(trials: pd.DataFrame) -> Iterator[str]:
    """The lines of a table with a row for each strategy; none where there is nothing to compare."""
    strategies = compare_strategies(trials)
    if len(strategies) < 2:
        return
    rows = [_HEADINGS, *(_describe_strategy(row) for _, row in strategies.iterrows())]
    for place, line in enumerate(align(rows, left=[0])):
        yield f"{'' if place else 'strategy':10}{line}"


def _describe_strategy(row: pd.Series) -> Sequence[str]:
    name = f"{row['strategy']} (from scratch)" if row["strategy"] == "baseline" else row["strategy"]
    if pd.isna(row["wer_best"]):
        return name, str(row["trials"]), "none reported", "-", "-", str(row["epochs"])
    rate = "-" if pd.isna(row["learning_rate"]) else f"{row['learning_rate']:.3g}"
    return name, str(row["trials"]), f"{row['wer_best']:.1%}", str(row["epoch_of_best"]), rate, str(row["epochs"])
