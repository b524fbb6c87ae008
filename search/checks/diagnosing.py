"""Put inspection, verification, a probe and a trial's curve together into ranked causes of a WER near 100 %."""

import math
import tempfile
from collections.abc import Iterable
from dataclasses import replace
from pathlib import Path

import numpy as np

from glosstune.models import Check, build_model, load_pretrained
from glosstune.results import load_results
from glosstune.search.checks.curve import judge_curve
from glosstune.search.checks.verifying import verify_foreign, verify_target
from glosstune.search.config.errors import Say
from glosstune.search.config.sections import AUTO
from glosstune.search.config.sweep import Sweep
from glosstune.spaces import STRATEGIES, Choice, Int, Space
from glosstune.spaces.errors import GlosstuneError, SettingError
from glosstune.spaces.parameters import Parameter, Scalar
from glosstune.trainables.checks.findings import Finding
from glosstune.trainables.checks.inspection import inspect_corpus
from glosstune.trainables.checks.probing import probe_changes
from glosstune.trainables.corpora import open_corpus, pack_corpus
from glosstune.trainables.corpora.store import PackedCorpus, pack
from glosstune.trainables.settings import SETTINGS_PATHS, CorpusSettings, TrialSettings

# Where data, model or freezing are surely at fault a probe would only tell the same again, and may not even run.
_SURE = 0.8
_PROBED = 60  # utterances to take statistics and glosses from


def diagnose(
    sweep: Sweep,
    say: Say,
    *,
    trial: tuple[Path, int] | None = None,
    model: str | None = None,
    classes: int | None = None,
    features: int | None = None,
    sample: int = 160,
) -> list[Finding]:
    """Causes that keep the sweep, or a trial of it, from learning, likeliest first; none if nothing is found.

    Args:
        say: hears what is being looked at.
        trial: folder of a sweep, and number of the trial whose configuration and curve are looked at; else the middle
            of the space's ranges.
        model: somebody else's, ``package.module:factory``, verified instead of the sweep's.
        classes: glosses and the blank that it is made for; default those of the corpus.
        features: values a frame that it reads; default those of the default layout.
        sample: utterances to inspect at most.

    Raises:
        CorpusError: the corpus cannot be read at all.
        SettingError: there is no such trial or model.
    """
    settings = middle_settings(sweep, trial)
    say("inspecting the corpus")
    seen = inspect_corpus(settings.corpus, settings.model.time_stride, sample=sample)
    say("verifying the model")
    classes = classes or max(2, seen.glosses["vocabulary"] + 1)  # an empty split is told, not a reason to stop
    sizes = settings.model.model_dump(exclude={"kind"})
    checks = verify_foreign(model, classes, features) if model else verify_target(settings.model.kind, classes, **sizes)
    found = [*seen.findings, *judge_checks(checks), *_judge_frozen(sweep, settings)]
    if model is None and max((finding.weight for finding in found), default=0.0) < _SURE:
        known = {finding.cause for finding in found}
        found += [finding for finding in _probe(sweep, settings, say) if finding.cause not in known]
    if trial is not None:
        results = load_results(trial[0])
        found += judge_curve(results.epochs[results.epochs["trial"] == trial[1]])
    found = [replace(finding, mend=_for_space(finding.mend, sweep)) for finding in found]
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
            # Many a network that sees padding trains all the same, only worse.
            told.append(Finding(cause, 0.5 if name == "padding" else 0.95, failed[name], mend))
    return told


def _judge_frozen(sweep: Sweep, settings: TrialSettings) -> list[Finding]:
    """Whether layers are frozen that hold nothing worth freezing."""
    strategy = STRATEGIES[settings.tuned.strategy]
    if strategy.freeze_until is None or sweep.pretrained == AUTO:
        return []
    cause, mend = "frozen layers are random", "pretrained=auto"
    if settings.pretrained is None:
        told = f"{strategy.name} freezes layers, and there are no pretrained weights"
        return [Finding(cause, 0.9, told, mend)]
    taken, missing = _arrived(settings)
    if taken < missing:
        told = f"{settings.pretrained.name} fills {taken} of the {taken + missing} tensors before the head"
        return [Finding(cause, 0.9, told, f"{mend}, or weights whose names and shapes fit")]
    return []


def _arrived(settings: TrialSettings) -> tuple[int, int]:
    """Tensors before the head that the pretrained weights fill, and those that they do not."""
    assert settings.pretrained is not None
    layout = open_corpus(settings.corpus).layout
    model = build_model(vocabulary_size=2, modalities=layout.modalities, **settings.model.model_dump())
    report = load_pretrained(model, settings.pretrained, settings.pretraining.adapt, layout=layout.recorded)
    head = tuple(f"{layer}." for layer in model.architecture.head)
    body = [name for name, _ in model.named_parameters() if not name.startswith(head)]
    missing = sum(name in report.fresh for name in body)
    return len(body) - missing, missing


def _probe(sweep: Sweep, settings: TrialSettings, say: Say) -> list[Finding]:
    if sweep.pretrained == AUTO and STRATEGIES[settings.tuned.strategy].pretrained:
        say(f"no probe: {settings.tuned.strategy} starts from weights that the sweep makes first; name a file of them")
        return []
    say("probing the recipe on 8 utterances, and again with each change that may help")
    try:
        with tempfile.TemporaryDirectory() as folder:
            return probe_changes(settings, _few(settings.corpus, Path(folder)))
    except GlosstuneError as error:  # the data is at fault, which inspection has told better
        say(f"the probe could not run: {error}")
        return []


def _few(source: CorpusSettings, folder: Path) -> PackedCorpus:
    """Some utterances of a corpus, packed for the probe alone: all of PHOENIX would take minutes and gigabytes."""
    corpus = open_corpus(source.model_copy(update={"missing": "skip"}))
    chosen: set[str] = set()
    generator = np.random.default_rng(0)
    for split, count in (("train", _PROBED), ("dev", 2)):
        keys = [utterance.key for utterance in corpus.utterances() if utterance.split == split]
        chosen |= {keys[place] for place in generator.permutation(len(keys))[:count]}
    few = corpus.only(chosen)
    if few is None:
        return pack_corpus(source)
    return pack(few, folder, scoring=source.scoring, targets=source.targets)


def middle_settings(sweep: Sweep, trial: tuple[Path, int] | None = None) -> TrialSettings:
    """The settings of a trial, or those in the middle of the space, without a teacher and weights yet to be made."""
    configuration = middle(sweep.space) if trial is None else load_results(trial[0]).configuration(trial[1])
    unknown = [name for name in configuration if name not in SETTINGS_PATHS]
    if unknown:
        raise SettingError(f"its parameters {', '.join(unknown)} are none that a sweep has", key="--trial")
    if sweep.pretrained == AUTO:
        sweep = sweep.model_copy(update={"pretrained": None})
    return sweep.settings_of(configuration).model_copy(update={"teacher": None})


def _for_space(mend: str, sweep: Sweep) -> str:
    """The override that acts where the space has the same key, and that the sweep takes."""
    searched = ", ".join(f"space.{name}" for name in sweep.space if name.startswith("gains."))
    if "corpus.gains=auto" in mend and searched:
        return f"{mend}, beside which {searched} are factors"
    if mend.startswith("model.time_stride=") and "time_stride" in sweep.space:
        return mend.replace("model.", "space.")
    if mend.endswith("pretrained=auto") and "strategy" not in sweep.space:
        return f"{mend} space.strategy=full-finetune"
    return mend


def middle(space: Space) -> dict[str, Scalar]:
    """The middle of every range, geometric where it is logarithmic, and the first of every choice."""
    return space.configuration(lambda label, parameter: _middle(parameter))


def _middle(parameter: Parameter) -> Scalar:
    if isinstance(parameter, Choice):
        return parameter.options[0]
    low, high = parameter.low, parameter.high
    value = math.sqrt(low * high) if parameter.log else (low + high) / 2
    return int(value) if isinstance(parameter, Int) else value
