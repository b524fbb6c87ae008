"""Put inspection, verification, a probe and a trial's curve together into ranked causes of a WER near 100 %."""

import math
from collections.abc import Iterable
from pathlib import Path

from glosstune.models import Check, build_model, load_pretrained
from glosstune.results import load_results
from glosstune.search.curve_findings import judge_curve
from glosstune.search.sweep import AUTO, Sweep
from glosstune.search.verifying import verify_foreign, verify_target
from glosstune.search.weights import Say
from glosstune.spaces import STRATEGIES, Choice, Int, Space
from glosstune.spaces.errors import CorpusError
from glosstune.spaces.parameters import Parameter, Scalar
from glosstune.trainables.corpora import pack_corpus
from glosstune.trainables.findings import Finding
from glosstune.trainables.inspection import inspect_corpus
from glosstune.trainables.probing import probe_changes
from glosstune.trainables.settings import TrialSettings

# Where the data is at fault a probe would only tell the same again, and may not even run.
_DATA_AT_FAULT = 0.8


def diagnose(
    sweep: Sweep,
    say: Say,
    *,
    trial: tuple[Path, int] | None = None,
    model: str | None = None,
    sample: int = 160,
) -> list[Finding]:
    """Causes that keep the sweep, or a trial of it, from learning, likeliest first; none if nothing is found.

    Args:
        say: hears what is being looked at.
        trial: folder of a sweep, and number of the trial whose configuration and curve are looked at; else the middle
            of the space's ranges.
        model: somebody else's, ``package.module:factory``, verified instead of the sweep's.
        sample: utterances to inspect at most.

    Raises:
        CorpusError: the corpus cannot be read at all.
        SettingError: there is no such trial or model.
    """
    found: list[Finding] = []
    settings = _settings(sweep, trial)
    if trial is not None:
        results = load_results(trial[0])
        found += judge_curve(results.epochs[results.epochs["trial"] == trial[1]])
    say("inspecting the corpus")
    found += inspect_corpus(sweep.corpus, settings.model.time_stride, sample=sample).findings
    say("verifying the model")
    classes = 50
    checks = verify_foreign(model, classes) if model else verify_target(sweep.model.kind, settings.model, classes)
    found += judge_checks(checks)
    found += _judge_frozen(settings)
    if model is None and max((finding.weight for finding in found), default=0.0) < _DATA_AT_FAULT:
        say("probing the recipe: 60 steps on 8 utterances, and again with each change that may help")
        found += _probe(settings, sweep)
    return sorted(found, key=lambda finding: -finding.weight)


def judge_checks(checks: Iterable[Check]) -> list[Finding]:
    """What failed checks of a model say."""
    failed = {check.name: check.evidence for check in checks if not check.passed}
    told = []
    if "normalised" in failed or "log-probabilities" in failed:
        evidence = failed.get("normalised", failed.get("log-probabilities", ""))
        told.append(Finding("no log-softmax", 1.0, evidence, "end the model with log_softmax(dim=-1) over the glosses"))
    for name, cause, mend in (
        ("shape", "model does not run", "see the contract in docs/why-97.md"),
        ("finite", "model gives NaN", "look for a division by zero or a logarithm of 0"),
        ("padding", "model sees padding", "mask normalisation and attention, pack the LSTM"),
        ("gradients", "gradients do not arrive", "look for detach(), no_grad(), or parameters that nothing uses"),
        ("frozen gradients", "frozen layers get gradients", "set requires_grad to False and the gradients to None"),
        ("frozen modules", "frozen layers in training mode", "call eval() on frozen modules after each train()"),
    ):
        if name in failed:
            told.append(Finding(cause, 0.95, failed[name], mend))
    return told


def _judge_frozen(settings: TrialSettings) -> list[Finding]:
    """Whether layers are frozen that hold nothing worth freezing."""
    strategy = STRATEGIES[settings.tuned.strategy]
    if strategy.freeze_until is None:
        return []
    cause, mend = "frozen layers are random", "pretrained=auto"
    if settings.pretrained is None:
        told = f"{strategy.name} freezes layers, and there are no pretrained weights"
        return [Finding(cause, 0.9, told, mend)]
    taken, missing = _arrived(settings)
    if taken < missing:
        told = f"{settings.pretrained.name} fills {taken} of the {taken + missing} tensors before the LSTM"
        return [Finding(cause, 0.9, told, f"{mend}, or weights whose names and shapes fit")]
    return []


def _arrived(settings: TrialSettings) -> tuple[int, int]:
    """Tensors before the LSTM that the pretrained weights fill, and those that they do not."""
    assert settings.pretrained is not None
    model = build_model(vocabulary_size=2, **settings.model.model_dump())
    report = load_pretrained(model, settings.pretrained, settings.pretraining.adapt)
    body = [name for name, _ in model.named_parameters() if not name.startswith(("lstm.", "classifier."))]
    missing = sum(name in report.fresh for name in body)
    return len(body) - missing, missing


def _probe(settings: TrialSettings, sweep: Sweep) -> list[Finding]:
    try:
        corpus = pack_corpus(sweep.corpus.model_copy(update={"missing": "skip"}))
        return probe_changes(settings, corpus)
    except CorpusError as error:
        return [Finding("broken files", 0.7, str(error), "mend what the message names")]


def _settings(sweep: Sweep, trial: tuple[Path, int] | None) -> TrialSettings:
    """The settings of a trial, or those in the middle of the space."""
    configuration = middle(sweep.space) if trial is None else load_results(trial[0]).configuration(trial[1])
    strategy = STRATEGIES[str(configuration.get("strategy", "baseline"))]
    if sweep.pretrained == AUTO and strategy.pretrained:
        # Weights that are yet to be made cannot be probed; all else can.
        configuration = {**configuration, "strategy": "baseline", "freeze_until": None, "unfreeze_stages": None}
        configuration = {name: value for name, value in configuration.items() if value is not None}
    return sweep.settings_of(configuration)


def middle(space: Space) -> dict[str, Scalar]:
    """The middle of every range, geometric where it is logarithmic, and the first of every choice."""
    return space.configuration(lambda label, parameter: _middle(parameter))


def _middle(parameter: Parameter) -> Scalar:
    if isinstance(parameter, Choice):
        return parameter.options[0]
    low, high = parameter.low, parameter.high
    value = math.sqrt(low * high) if parameter.log else (low + high) / 2
    return int(value) if isinstance(parameter, Int) else value
