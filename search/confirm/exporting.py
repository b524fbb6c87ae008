"""Write the checkpoint of a trial as one file, with what is known of how good it is."""

from pathlib import Path
from typing import Any

from glosstune.results import load_results
from glosstune.results.reading.epoch_metrics import by_scoring
from glosstune.results.reading.names import BEST, CONFIRM, PLAN, SUMMARY, TRIALS
from glosstune.results.reading.record import read_record
from glosstune.results.reading.remote import fetch_file
from glosstune.spaces import SettingError
from glosstune.spaces.errors import CheckpointError, FolderError
from glosstune.spaces.files.atomic import check_free
from glosstune.spaces.files.bounded import parse_json, read_text
from glosstune.trainables import export_checkpoint


def export_trial(place: Path | str, out: Path, trial: int | None = None) -> str:
    """Write a trial's best checkpoint to ``out`` and say what was written.

    The file records the trial's figures and, where the sweep was confirmed, those of its configuration.

    Args:
        trial: its number; default the one with the lowest WER.

    Raises:
        SettingError: there is no such trial, or ``out`` is no .safetensors file.
        FolderError: nothing has been reported yet, or ``out`` exists or cannot be written.
        CheckpointError: the trial has no checkpoint here, or it cannot be read.
    """
    if out.suffix != ".safetensors":
        raise SettingError(f"{out}: must end in .safetensors", key="--out")
    check_free(out)
    results = load_results(place)
    if trial is None:
        read_record(results.folder)  # which refuses one that is not whole: the best of the rest may not be the best
    else:
        results.configuration(trial)  # refuses what is not there
    number = int(results.best["trial"]) if trial is None else trial
    row = results.trials[results.trials["trial"] == number].iloc[0]
    if not isinstance(row["best_checkpoint"], str):
        gone = f"copy its {TRIALS} folder too, or, where search.keep_checkpoints left it out, export one of the best"
        raise CheckpointError(f"{results.place}: trial {number} has no {BEST} here; {gone}")
    scores: dict[str, Any] = {"wer": float(row["wer_best"]), "scoring": results.scoring}
    scores |= {"trial": number, "sweep": str(row["sweep"])}
    confirmed = _confirmed(results.folder, number)
    export_checkpoint(fetch_file(row["best_checkpoint"]), out, scores | ({"confirmed": confirmed} if confirmed else {}))
    told = ""
    if confirmed:
        where = f" on folds {', '.join(map(str, confirmed['folds']))}" if confirmed["folds"] else ""
        models = f"{confirmed['seeds']} seeds{where}"
        told = f"; its configuration, trained again under {models}: test WER {confirmed['test_wer']:.1%}"
    scored = by_scoring(results.scoring)
    return f"{out}: trial {number}, WER {row['wer_best']:.1%}{scored} on dev at epoch {row['epoch_of_best']}{told}"


def _confirmed(folder: Path, trial: int) -> dict[str, Any] | None:
    """The figures of a trial's configuration, which are of other models, and the folds that they are of."""
    path = folder / CONFIRM / SUMMARY
    if not path.exists():
        return None
    try:
        rows = parse_json(read_text(path))
        folds = [int(fold) for fold in parse_json(read_text(folder / CONFIRM / PLAN))["folds"]]
        found = next(({**row, "folds": folds} for row in rows if row["trial"] == trial), None)
        return found and {**found, "seeds": int(found["seeds"]), "test_wer": float(found["test_wer"])}
    except (OSError, ValueError, LookupError, TypeError) as error:
        raise FolderError(f"{path}: cannot be read as a confirmation ({error}); remove {folder / CONFIRM}") from error
