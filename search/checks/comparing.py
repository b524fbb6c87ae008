"""Say which corpus models are compared on, and show what the comparison came to."""

import json
from collections.abc import Collection, Iterator, Sequence
from pathlib import Path

from glosstune.results.reading.epoch_metrics import by_scoring
from glosstune.results.text import align
from glosstune.search.config.changes import PLACES, check_places
from glosstune.search.config.loading import load_sweep
from glosstune.spaces.errors import SettingError
from glosstune.spaces.parts import is_own
from glosstune.trainables.export.comparing import MeasuredModel, ModelComparison
from glosstune.trainables.settings import CorpusSettings

# What may differ where a corpus has moved. The other keys decide which utterances dev has, or belong to a model.
PLACE_KEYS = (*PLACES, "corpus.layout", "corpus.missing")


def place_corpus(recorded: CorpusSettings, overrides: Sequence[str], kinds: Collection[str] = ()) -> CorpusSettings:
    """The corpus that a file records, where overrides such as ``corpus.root=/data/phoenix`` say that it lies.

    It is packed in the reader's own cache unless they say otherwise, not in that of whoever wrote the file.

    Args:
        kinds: corpora of one's own that it may be.

    Raises:
        SettingError: another key than PLACE_KEYS, a value that the corpus does not take, or a kind that nobody named.
    """
    if is_own(recorded.kind) and recorded.kind not in kinds:
        rule = f"the files' corpus is {recorded.kind}, code that is not glosstune's and that reading it would run"
        raise SettingError(f"{rule}; if you trust it, name it: --kind {recorded.kind}")
    check_places(overrides, "the files record their models and which utterances dev has", PLACE_KEYS)
    recorded = recorded.model_copy(update={"cache": None})
    if not overrides:
        return recorded
    # By way of a sweep, for that checks corpora and makes paths absolute; any would do.
    return load_sweep("student", [f"corpus={json.dumps(recorded.model_dump(mode='json'))}", *overrides]).corpus


def describe_comparison(comparison: ModelComparison) -> str:
    """A table with a column a model, how it was measured, and the warnings."""
    files = [model.file for model in comparison.models]
    names = [Path(file).name for file in files]
    figures = [dict(_figures(model)) for model in comparison.models]
    rows = [["", *(names if len(set(names)) == len(names) else files)]]
    rows += [[name, *(figure[name] for figure in figures)] for name in figures[0]]
    notes = (
        f"errors{by_scoring(comparison.scoring)}: {comparison.dev_utterances} utterances of dev, "
        f"{comparison.dev_glosses} glosses; {comparison.corpus}",
        f"speed: {comparison.device}, {comparison.threads} CPU threads; {comparison.timed_utterances} utterances of "
        f"dev, {comparison.timed_frames} frames; {comparison.rounds} rounds after one to warm up, models in turn",
        "ms an utterance: a batch's time over its utterances, median (quartiles); from stored frames to glosses, "
        "so each model's own conditioning of its input counts",
        "beaten by: models with no more errors, parameters and bytes, and fewer of one; speed is left to you",
    )
    warnings = (f"warning: {warning}" for warning in comparison.warnings)
    return "\n".join([*align(rows, left=[0]), "", *notes, *warnings])


def _figures(model: MeasuredModel) -> Iterator[tuple[str, str]]:
    yield "model", f"{model.kind}, width {model.width:g}"
    yield "parameters", f"{model.parameters:,}"
    yield "parameters, compression", f"{model.parameter_ratio:.2f} x"
    yield "file, kB", f"{model.file_bytes / 1e3:,.0f}"
    yield "file, compression", f"{model.byte_ratio:.2f} x"
    yield "WER on dev", f"{model.rates.wer:.1%}"
    yield "  substitutions", f"{model.rates.substitution_rate:.1%}"
    yield "  deletions", f"{model.rates.deletion_rate:.1%}"
    yield "  insertions", f"{model.rates.insertion_rate:.1%}"
    yield "beaten by", ", ".join(Path(file).name for file in model.beaten_by) or "none"
    yield "precision", model.precision
    for speed in model.speeds:
        first, third = speed.utterance_ms_quartiles
        yield f"batch {speed.batch_size}: frames/s", f"{speed.frames_per_s:,.0f}"
        yield (
            f"batch {speed.batch_size}: ms an utterance",
            f"{speed.utterance_ms_median:.1f} ({first:.1f} to {third:.1f})",
        )
