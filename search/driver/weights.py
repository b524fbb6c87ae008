"""The weights that a sweep starts from: made where none are given, checked, and told before any trial."""

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from glosstune.models import LoadReport, WeightsFile, trainable_parameters
from glosstune.models.recogniser import Recogniser
from glosstune.search.config.errors import Say
from glosstune.search.config.rules import check_augment
from glosstune.search.config.sections import AUTO
from glosstune.search.config.sweep import Sweep
from glosstune.spaces import STRATEGIES, Int, SettingError
from glosstune.spaces.errors import shown
from glosstune.spaces.files.atomic import check_free
from glosstune.spaces.parameters import Constant, Definition, Parameter, Scalar, listed
from glosstune.spaces.space import Suggest
from glosstune.trainables.batches.conditioning import live_blocks
from glosstune.trainables.batches.gains import describe_gains, with_gains
from glosstune.trainables.corpora import PackedCorpus, pack_corpus
from glosstune.trainables.distillation.posteriors import with_gains_of
from glosstune.trainables.export.exporting import TrainedRecogniser
from glosstune.trainables.settings import SETTINGS_PATHS, Gains, TrialSettings
from glosstune.trainables.training.initial_model import starting_model
from glosstune.trainables.training.input_files import InputFile
from glosstune.trainables.training.pretraining import pretrained_weights, write_pretrained
from glosstune.trainables.training.thawing import thaw_epochs, thaw_for


def with_weights(sweep: Sweep, corpus: PackedCorpus, say: Say) -> Sweep:
    """The sweep with ``pretrained: auto`` replaced by a file, which is made where it is not there yet."""
    if sweep.pretrained != AUTO:
        return sweep
    return sweep.model_copy(update={"pretrained": str(pretrained_weights(_settings(sweep), corpus, say))})


def pretrain_to(path: Path, sweep: Sweep, say: Say) -> None:
    """Pretrain as the sweep's ``pretraining`` says and write the weights to a new file.

    Raises:
        FolderError: the file exists, or its folder cannot be written.
        SettingError, CorpusError, CheckpointError: see ``trainables.training.labels.labelled_signs``.
    """
    if path.suffix != ".safetensors":
        raise SettingError(f"--out {path}: must end in .safetensors")
    check_free(path)
    corpus = pack_corpus(sweep.corpus)
    sweep = settle_gains(sweep, corpus, say)
    check_input(sweep, corpus)
    progress = write_pretrained(path, _settings(sweep), corpus, say)
    say(f"{path}: {progress.accuracy:.1%} right at the end; next: give pretrained={path} to a sweep on this corpus")


def settle_gains(
    sweep: Sweep,
    corpus: PackedCorpus,
    say: Say,
    *,
    known: Mapping[str, Any] | None = None,
    teacher: TrainedRecogniser | None = None,
) -> Sweep:
    """The sweep with numbers where ``corpus.gains`` says ``auto``; says which.

    Args:
        known: the gains that its manifest has: nothing is estimated, so trials compare.
        teacher: whose gains a student takes.
    """
    if sweep.corpus.gains.blocks != "auto":
        return sweep
    if known is not None:
        source, origin = with_known_gains(sweep, known).corpus, "as the sweep began"
    elif teacher is not None:
        source, origin = with_gains_of(teacher, sweep.corpus), "the teacher's"
    else:
        source, origin = sweep.corpus, ""
    if source.gains.blocks == "auto":
        source, origin = with_gains(source, corpus), "estimated from the training split"
    say(tell_gains(source.gains, origin))
    return sweep.model_copy(update={"corpus": source})


def with_known_gains(sweep: Sweep, known: Mapping[str, Any] | None) -> Sweep:
    """The sweep with the gains that a manifest has, where ``corpus.gains`` says ``auto``."""
    if known is None or sweep.corpus.gains.blocks != "auto":
        return sweep
    corpus = sweep.corpus.model_copy(update={"gains": Gains.model_validate(known)})
    return sweep.model_copy(update={"corpus": corpus})


def tell_gains(gains: Gains, origin: str) -> str:
    """A line about gains in numbers, and where they are from."""
    parts = gains.model_dump(exclude={"blocks"})
    told = [f"{name} {gain:g}" for name, gain in parts.items() if gain != 1]
    if isinstance(gains.blocks, Mapping):
        return f"gains: auto, {origin}: {describe_gains(gains.blocks)}" + f"; times {', '.join(told)}" * bool(told)
    return f"gains: auto, {origin}: {', '.join(told) or 'all 1'}"


def check_input(sweep: Sweep, corpus: PackedCorpus) -> None:
    """Require what only the packed corpus tells: something that enters the model; errors as ``check_sweep``.

    Gains are numbers by then (see ``settle_gains``).
    """
    check_augment(sweep, corpus.has_positions)
    blocks = sweep.corpus.gains.blocks
    assert blocks != "auto"
    known = {part: [b.channel for b in corpus.layout.blocks if b.part == part] for part in corpus.layout.parts}
    for part, channels in (blocks or {}).items():
        if strangers := [name for name in channels if name not in known.get(part, ())]:
            told = "; ".join(f"{name}: {', '.join(each)}" for name, each in known.items())
            rule = f"must be a channel of a part that corpus.layout has, {told}"
            raise SettingError(rule, key=f"corpus.gains.blocks.{part}.{strangers[0]}")
    searched = any(name.startswith("gains.") for name in sweep.space)
    if not searched and not live_blocks(corpus.layout, sweep.corpus.gains):
        rule = f"mute all that corpus.layout has, {', '.join(corpus.layout.parts)}; got 0 for each"
        raise SettingError(f"{rule}; give one of them a gain", key="corpus.gains")


def tell_start(
    sweep: Sweep, corpus: PackedCorpus, weights: WeightsFile | None, file: InputFile | None, say: Say
) -> dict[str, Any] | None:
    """Say what arrives from the pretrained weights and how many parameters train at each depth of the space.

    Args:
        weights: of the sweep, where it has some.
        file: that they were read from.

    Returns:
        what a manifest keeps of the weights; None where the space starts from scratch alone.

    Raises:
        CheckpointError: the weights cannot be read or do not fit.
    """
    plans = [(plan, sweep.trial_settings(plan)) for plan in list_plans(sweep)]
    deepest = plans[-1][1]  # the baseline, which loads nothing, comes first
    model, report = starting_model(deepest, corpus, weights)
    fresh: frozenset[str] = frozenset()
    if report is not None:
        say(report.table())
        for line in (*report.differences(deepest.input_and_model()), *_searched_away(sweep, report)):
            say(f"made otherwise: {line}")
        fresh = frozenset() if sweep.freezing.allow_random_frozen else report.fresh
    say(f"trainable of {sum(parameter.numel() for parameter in model.parameters()):,} parameters:")
    for plan, settings in plans:
        uses = STRATEGIES[settings.tuned.strategy].pretrained
        say("  " + _describe(model, plan, settings, fresh if uses else frozenset()))
    lost = _random_before_head(model, fresh)
    if lost:
        say(
            f"{', '.join(lost)}: got no pretrained value for some parameters, which train at any depth, so that no "
            "frozen layer behind them has a constant input (freezing.allow_random_frozen: true freezes them too)"
        )
    points = sweep.start_points
    if len(points) > sweep.search.samples:
        left = len(points) - sweep.search.samples
        say(f"search.samples {sweep.search.samples} leaves out the last {left} of {len(points)} start points")
    return None if report is None or file is None else {"sha256": file.sha256, **report.to_mapping()}


def _searched_away(sweep: Sweep, report: LoadReport) -> Iterator[str]:
    """A line for each recorded value of model or input that the space searches: most trials differ from it."""
    for name in sweep.space:
        section, *rest = SETTINGS_PATHS[name]
        recorded: object = report.recorded.get(section)
        for key in rest:
            recorded = recorded.get(key) if isinstance(recorded, Mapping) else None
        constant = all(isinstance(definition, Constant) for definition in sweep.space[name])
        if recorded is not None and not constant:
            yield f"{'.'.join((section, *rest))}: {shown(recorded)} in the file, searched here"


def _settings(sweep: Sweep) -> TrialSettings:
    return TrialSettings(model=sweep.model, corpus=sweep.corpus, training=sweep.training, pretraining=sweep.pretraining)


def list_plans(sweep: Sweep) -> Iterator[dict[str, Scalar]]:
    """A configuration for each strategy and depth that the space offers, everything else at some value of its own."""
    offered = [option for definition in sweep.space.get("strategy", ()) for option in _options(definition)]
    strategies: list[str | None] = [name for name in STRATEGIES if name in offered]
    for strategy in strategies or [None]:
        chosen: dict[str, Scalar] = {} if strategy is None else {"strategy": strategy}
        met: dict[str, Parameter] = {}
        first = sweep.space.configuration(_choose(chosen, met))
        depth = next((name for name in ("unfreeze_stages", "freeze_until") if name in met), None)
        if depth is None:
            yield first
            continue
        for value in _options(met[depth]):
            yield sweep.space.configuration(_choose({**chosen, depth: value}, met))


def _choose(chosen: Mapping[str, Scalar], met: dict[str, Parameter]) -> Suggest:
    def suggest(label: str, parameter: Parameter) -> Scalar:
        name = label.partition("@")[0]
        met[name] = parameter
        return chosen[name] if name in chosen else _options(parameter)[0]

    return suggest


def _options(definition: Definition) -> Sequence[Scalar]:
    """Every value of a choice, a constant or a range of whole numbers; the bounds of another range."""
    if isinstance(definition, Int):
        return range(definition.low, definition.high + 1, definition.step)
    return listed(definition)


def _describe(model: Recogniser, plan: Mapping[str, Scalar], settings: TrialSettings, fresh: frozenset[str]) -> str:
    """One line: strategy, depth, and how many parameters train in the first epoch and, where that differs, the last."""
    total = sum(parameter.numel() for parameter in model.parameters())
    first_epochs = thaw_epochs(model, settings)
    sizes = []
    for epoch in (0, max(first_epochs.values())):
        thaw_for(model, epoch, first_epochs, fresh)
        sizes.append(trainable_parameters(model))
    counts = " to ".join(f"{size:,} ({size / total:.1%})" for size in dict.fromkeys((sizes[0], sizes[-1])))
    depth = f"until {plan['freeze_until']}" if plan.get("freeze_until") else ""
    depth = f"in {plan['unfreeze_stages']} stages" if plan.get("unfreeze_stages") else depth
    return f"{settings.tuned.strategy:<20} {depth:<14} {counts}"


def _random_before_head(model: Recogniser, fresh: frozenset[str]) -> list[str]:
    layers = {name.partition(".")[0] for name in fresh}
    return [name for name in model.architecture.body if name in layers]
