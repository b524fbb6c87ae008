"""What a user reads when a sweep is over."""

from rich.console import Console

from glosstune.results import Results
from glosstune.search.display import describe


def summarise(results: Results, console: Console) -> None:
    """Print the best trial, its WER and configuration, where everything lies, and what to run next."""
    trials = results.trials
    counts = ", ".join(f"{count} {status}" for status, count in trials["status"].value_counts().items())
    if trials["wer_best"].isna().all():
        where = f"read {results.folder / 'trials'}/*/trial.log" if counts else "it ended before the first trial"
        console.print(f"no trial reported a WER ({counts or 'none started'}); {where}", soft_wrap=True, markup=False)
        return
    best = results.best
    target = results.target
    verdict = "reached" if best["wer_best"] < target else f"not reached, {best['wer_best'] - target:.1%} above"
    lines = [
        f"trials    {counts}",
        f"best      trial {best['trial']}: WER {best['wer_best']:.1%} on dev at epoch {best['epoch_of_best']}",
        f"target    {target:.0%}: {verdict}",
        f"recipe    {describe(results.configuration(int(best['trial'])))}",
        f"folder    {results.folder}",
        f"weights   {best['best_checkpoint']}",
        f"picture   {results.folder / 'curves.png'}",
        f"next      glosstune results {results.folder}",
    ]
    for line in lines:
        console.print(line, soft_wrap=True, highlight=False, markup=False)
