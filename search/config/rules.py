"""What no section of a sweep can know of itself: the rules between them, and between settings and space."""

import os
from collections.abc import Collection, Iterator
from inspect import Parameter
from typing import Literal, get_args, get_origin

from pydantic import ValidationError

from glosstune.models.kinds import architecture_of
from glosstune.results.reading.objectives import MEASURED
from glosstune.search.config.errors import locate, nested, problems, validated
from glosstune.search.config.sections import AUTO, Sections
from glosstune.spaces.errors import CheckpointError, SettingError, shown
from glosstune.spaces.parameters import Constant, Definition, Float, Int, Scalar, conditions, listed
from glosstune.spaces.parts import is_own, load_part
from glosstune.spaces.strategies import STRATEGIES, Strategy
from glosstune.trainables.corpora.files.conventions import target_clean_up
from glosstune.trainables.corpora.kinds import corpus_traits, draws_splits, has_positions, layout_by_header, root_of
from glosstune.trainables.settings import (
    CORPORA,
    GEOMETRIC,
    SETTINGS_PATHS,
    STEADY,
    CorpusSettings,
    DistillationSettings,
    TrialSettings,
)

# What changes a network, and what else changes its speed.
_SIZES = ("width", "time_stride", "norm")
_SPEEDS = (*_SIZES, "precision")
# Files that a sweep begins from.
INPUT_FILES = ("pretrained", "teacher", "pretraining.align_with")
# How files of features are read.
_READING = ("layout", "not_seen", "hands", "frame_step")


def check_sweep(sweep: Sections) -> int:
    """Require what no section can know of itself, and return the epochs a full trial trains for.

    Raises:
        SettingError: naming the key, the rule, the value and the way out.
    """
    # What only reads a sweep, maybe somebody's, runs no code that it names: see ``check_parts``.
    if not is_own(sweep.corpus.kind):
        _check_corpus(sweep.corpus)
        _check_augment(sweep)
    for name, definitions in sweep.space.items():
        for definition in definitions:
            _check_target(name, definition)
    _check_freezing(sweep)
    _check_teacher(sweep)
    _check_start_points(sweep)
    _check_objectives(sweep)
    return _check_epochs(sweep)


def check_parts(sweep: Sections) -> None:
    """Require what only importing the parts of one's own tells; errors as ``check_sweep``."""
    check_depths(sweep)
    if is_own(sweep.corpus.kind):
        _check_corpus(sweep.corpus)
        _check_augment(sweep)
    for key, names in (("search.sampler", [sweep.search.sampler]), ("stopping.rules", sweep.stopping.rules)):
        for name in filter(is_own, names):
            if not callable(load_part(name, key)):
                raise SettingError(f"{name} cannot be called; see docs/extending.md", key=key)


def missing_inputs(sweep: Sections) -> Iterator[tuple[str, str, str]]:
    """The key and the path of each file that a sweep begins from and that is not there, and what is instead."""
    auto = sweep.pretrained == AUTO
    files = {"pretrained": None if auto else sweep.pretrained, "teacher": sweep.teacher}
    files["pretraining.align_with"] = sweep.pretraining.align_with if auto else None
    for key, path in files.items():
        if path is not None and os.path.isdir(path):
            yield key, str(path), "is a folder, not a file"
        elif path is not None and not os.path.exists(path):
            yield key, str(path), "no such file"


def check_inputs(sweep: Sections, keys: Collection[str] = INPUT_FILES) -> None:
    """Raise CheckpointError where a file is missing that a sweep begins from.

    Args:
        keys: the only ones to look at.
    """
    for key, path, told in missing_inputs(sweep):
        if key in keys:
            way_out = "name the file in it with" if os.path.isdir(path) else "where it has moved, say"
            raise CheckpointError(f"{key}: {path}: {told}; {way_out} {key}=FILE")


def _check_target(name: str, definition: Definition) -> None:
    """Require that the setting which a parameter stands for takes every value it may have."""
    path, key = SETTINGS_PATHS[name], f"space.{name}"
    field = locate(TrialSettings, path)[2]
    assert field is not None
    if get_origin(field.annotation) is Literal and isinstance(definition, Float | Int):
        options = ", ".join(map(shown, get_args(field.annotation)))
        raise SettingError(f"must be a choice out of {options}; got {definition.rule}", key=key)
    for value in listed(definition):
        try:
            validated(TrialSettings, nested(path, value))
        except ValidationError as error:
            raise SettingError(problems(error, TrialSettings, None)[0].rule, key=key) from None


def _values(sweep: Sections, name: str) -> list[Scalar]:
    return [value for definition in sweep.space.get(name, ()) for value in listed(definition)]


def _check_corpus(corpus: CorpusSettings) -> None:
    kind, traits, root = shown(corpus.kind), corpus_traits(corpus.kind), root_of(corpus.kind)
    if corpus.root is None and root is not None and root.default is Parameter.empty:
        rule = f"must name the corpus's {traits.root}, because corpus.kind is {kind}; got null"
        raise SettingError(f"{rule}; give corpus.root={traits.root.upper()}", key="corpus.root")
    if corpus.split not in traits.splits:
        rule = f"must not be {shown(corpus.split)} where corpus.kind is {kind}"
        rule += ": only fingerspelling has clips" * (corpus.split == "unseen-clips")
        raise SettingError(f"{rule}; choose {' or '.join(map(shown, traits.splits))}", key="corpus.split")
    if corpus.root is not None and root is None:
        source = f"comes with the {traits.extra} extra" if traits.extra else "takes no root"
        rule = f"has no meaning where corpus.kind is {kind}, which {source}"
        rule += "; set corpus.kind=phoenix, or table for a table of your own, or leave it out"
        raise SettingError(rule, key="corpus.root")
    if corpus.split_seed != CorpusSettings.model_fields["split_seed"].default and not draws_splits(corpus.kind):
        rule = f"has no meaning where corpus.kind is {kind}, which draws no splits; got {corpus.split_seed}"
        raise SettingError(f"{rule}; leave it out", key="corpus.split_seed")
    for key in _READING:
        if not traits.layouts and getattr(corpus, key) != CorpusSettings.model_fields[key].default:
            rule = f"has no meaning where corpus.kind is {kind}, which reads no files in a layout"
            raise SettingError(f"{rule}; leave it out", key=f"corpus.{key}")
    if corpus.scoring != "auto":  # which opening the corpus tells
        target_clean_up(corpus.scoring, corpus.targets)
    default = CorpusSettings.model_fields["fold"].default
    if corpus.fold != default and not (traits.folds and corpus.split == "unseen-signers"):
        known = ", ".join(name for name in {**CORPORA, corpus.kind: ""} if corpus_traits(name).folds)
        rule = f"must be {default}: only {known} with corpus.split 'unseen-signers' have folds; got {corpus.fold}"
        raise SettingError(f"{rule}; leave it out", key="corpus.fold")


def _check_augment(sweep: Sections) -> None:
    if not layout_by_header(sweep.corpus):
        check_augment(sweep, has_positions(sweep.corpus))


def check_augment(sweep: Sections, positions: bool) -> None:
    """Require that no augmentation moves landmarks where there are no positions; errors as ``check_sweep``.

    Ready features may stand in any frame of reference, about which a mirror or a rotation would be wrong.
    """
    if positions:
        return
    found: dict[str, list[Scalar]] = {
        "space.augment": _values(sweep, "augment"),
        "training.augment": [sweep.training.augment],
        "pretraining.augment": [sweep.pretraining.augment],
    }
    for key, values in found.items():
        for value in values:
            wrong = sorted(set(GEOMETRIC) & set(str(value).split("+")))
            if wrong:
                rule = (
                    f"{', '.join(wrong)} need landmark positions, and corpus.layout has ready features or none at all"
                )
                raise SettingError(f"{rule}; got {value!r}; use the others", key=key)


def tell_rungs(sweep: Sections) -> str:
    """A line where halving is on and yet compares nobody, for short trials of a sweep for long ones; else empty."""
    halving, epochs = sweep.halving, sweep.training.epochs
    if halving.kind == "none" or halving.resource != "epochs" or halving.min_epochs < epochs:
        return ""
    told = f"halving.min_epochs: {halving.min_epochs} is not below training.epochs, {epochs}, so there is no rung"
    return f"{told}: no trial is compared with others before its end; lower it to have some"


def check_depths(sweep: Sections) -> None:
    """Require that the model has every layer and as many stages as the space names; errors as ``check_sweep``.

    A model of one's own is imported for it.
    """
    architecture, kind = architecture_of(sweep.model.kind), sweep.model.kind
    for depth in _values(sweep, "freeze_until"):
        if depth is not None and depth not in architecture.layers:
            rule = f"must be a layer of the {kind}: {', '.join(architecture.layers)}; got {shown(depth)}"
            raise SettingError(rule, key="space.freeze_until")
    most = len(architecture.groups)
    for stages in _values(sweep, "unfreeze_stages"):
        if isinstance(stages, int) and stages > most:
            rule = f"must be at most {most}, as many groups of layers has the {kind}; got {stages}"
            raise SettingError(rule, key="space.unfreeze_stages")


def _check_freezing(sweep: Sections) -> None:
    if not is_own(sweep.model.kind):
        check_depths(sweep)
    strategies = [STRATEGIES[str(value)] for value in _values(sweep, "strategy")] or [STRATEGIES["baseline"]]
    for name in ("freeze_until", "unfreeze_stages"):
        _require_readers(sweep, name, strategies)
    if sweep.pretrained is None and not sweep.freezing.allow_random_frozen:
        _refuse_random_start(strategies)
    if sweep.pretrained is not None:
        _check_pretrained(sweep, strategies)


def _require_readers(sweep: Sections, name: str, strategies: list[Strategy]) -> None:
    """Require that a depth or a number of stages can exist only under strategies that read it."""
    readers = [each.name for each in STRATEGIES.values() if _reads(each, name)]
    for definition in sweep.space.get(name, ()):
        if isinstance(definition, Constant) and definition.value is None:
            continue
        allowed = conditions(definition.when).get("strategy", tuple(each.name for each in strategies))
        wrong = [value for value in allowed if value not in readers]
        if wrong:
            rule = f"has no meaning under {shown(wrong[0])}; only {' and '.join(readers)} read it"
            raise SettingError(f"{rule}; give it a 'when' of those, or leave it out", key=f"space.{name}")


def _reads(strategy: Strategy, name: str) -> bool:
    staged = strategy.unfreeze_stages is not None
    return staged if name == "unfreeze_stages" else strategy.freeze_until is not None and not staged


def _refuse_random_start(strategies: list[Strategy]) -> None:
    for strategy in strategies:
        if strategy.pretrained:
            frozen = strategy.freeze_until or strategy.unfreeze_stages
            without = "its frozen layers would keep random values" if frozen else "it would start from random values"
            rule = f"{strategy.name!r} starts from pretrained weights, and there are none: {without}"
            way_out = "give pretrained=FILE, or pretrained=auto to make them on the training split, or use 'baseline'"
            anyway = "or set freezing.allow_random_frozen: true to try it nevertheless"
            raise SettingError(f"{rule}; {way_out}, {anyway}", key="space.strategy")


def _check_pretrained(sweep: Sections, strategies: list[Strategy]) -> None:
    if not any(strategy.pretrained for strategy in strategies):
        rule = "is never used: no strategy of the space starts from pretrained weights"
        raise SettingError(f"{rule}; set pretrained=null, or space.strategy=full-finetune or another", key="pretrained")
    for name in ("width", "norm"):
        if name in sweep.space:
            rule = "must stand in model, because pretrained weights fit one value"
            raise SettingError(f"{rule}; set model.{name} instead", key=f"space.{name}")


def _check_teacher(sweep: Sections) -> None:
    if sweep.teacher is None:
        read = [f"space.{name}" for name in sweep.space if name in DistillationSettings.model_fields]
        if sweep.distillation != DistillationSettings():
            read.append("distillation")
        if sweep.teacher_kind is not None:
            read.append("teacher_kind")
        if read:
            rule = f"must name the exported recogniser to learn from, because {read[0]} is given; got null"
            raise SettingError(f"{rule}; give teacher=FILE, which glosstune export writes", key="teacher")
        return
    searched = next((name for name in sweep.space if name.startswith("gains.")), None)
    if searched is not None:
        rule = "has no meaning with a teacher, because both read the same input"
        raise SettingError(f"{rule}; set corpus.gains to the teacher's instead", key=f"space.{searched}")
    for key, values in (("space", _values(sweep, "augment")), ("training", [sweep.training.augment])):
        for value in values:
            if moved := set(str(value).split("+")) - {"none", "auto", *STEADY}:
                rule = f"{', '.join(moved)} moves frames away from those that the teacher speaks of; got {value!r}"
                raise SettingError(f"{rule}; use the others", key=f"{key}.augment")


def _check_start_points(sweep: Sections) -> None:
    if sweep.search.start_points == "strategies":
        return
    for place, point in enumerate(sweep.search.start_points):
        try:
            sweep.space.check(point)
        except SettingError as error:
            raise SettingError(error.rule, key=f"search.start_points[{place}].{error.key}") from None


def _check_objectives(sweep: Sections) -> None:
    """Require costs that trials differ in, and that no single trial ends the search for all others."""
    search = sweep.search
    for cost in search.costs:
        ways = _SPEEDS if cost in MEASURED else _SIZES
        if all(len(set(_values(sweep, name))) < 2 for name in ways):
            rule = f"{cost} is that of every trial alike, because the space has none of {', '.join(ways)}"
            raise SettingError(f"{rule}; add space.width.float=[0.25,1], or leave it out", key="search.objectives")
    if search.costs and search.stop_at_target:
        rule = f"ends the search at the first trial below {search.target:.0%}, and search.objectives ask for others too"
        raise SettingError(f"{rule}; give time_budget_min or epoch_budget instead", key="search.stop_at_target")


def _check_epochs(sweep: Sections) -> int:
    epochs, key = sweep.training.epochs, "training.epochs"
    for definition in sweep.space.get("epochs", ()):
        if not isinstance(definition, Constant) or conditions(definition.when):
            rule = f"must be one constant, because rungs need one horizon; got {definition.rule}"
            raise SettingError(f"{rule}; set training.epochs instead", key="space.epochs")
        assert isinstance(definition.value, int)
        epochs, key = definition.value, "space.epochs"
    warmup = max((value for value in _values(sweep, "warmup_epochs") if isinstance(value, int)), default=0)
    if warmup > epochs:
        rule = f"must be at most {key}, {epochs}; got up to {warmup}"
        raise SettingError(f"{rule}; warm up for less or train longer", key="space.warmup_epochs")
    return epochs
