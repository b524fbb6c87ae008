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
from glosstune.search.config.rules import check_inputs
from glosstune.search.config.sections import AUTO
from glosstune.search.config.sweep import Sweep
from glosstune.spaces import STRATEGIES, Choice, Int, Space
from glosstune.spaces.errors import GlosstuneError, SettingError
from glosstune.spaces.parameters import Parameter, Scalar
from glosstune.trainables.checks.findings import Finding, cannot_tell, rank
from glosstune.trainables.checks.inspection import inspect_corpus
from glosstune.trainables.checks.probing import probe_changes
from glosstune.trainables.corpora import open_corpus, pack_corpus
from glosstune.trainables.corpora.store import PackedCorpus, pack
from glosstune.trainables.settings import SETTINGS_PATHS, CorpusSettings, TrialSettings

_PROBED = 60  # utterances to take statistics and glosses from
_FROM_SCRATCH = {"strategy": "baseline", "freeze_until": None, "unfreeze_stages": None}


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
    """Causes that keep the sweep, or a trial of it, from learning, likeliest first; then what cannot be told.

    The recipe is probed unless something is certain that stops any recipe.

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
    if model is None:
        stopped = next((finding for finding in rank(found) if finding.stops), None)
        probed = _probe(sweep, settings, say) if stopped is None else _not_probed(f"{stopped.cause}: that comes first")
        found += probed
    if trial is not None:
        results = load_results(trial[0])
        found += judge_curve(results.epochs[results.epochs["trial"] == trial[1]])
    return rank(replace(finding, mend=_for_space(finding.mend, sweep)) for finding in _together(found))


def _together(findings: Iterable[Finding]) -> list[Finding]:
    """One finding a cause: where data and probe name the same, the one that ranks higher."""
    best: dict[str, Finding] = {}
    for finding in rank(findings):
        best.setdefault(finding.cause, finding)
    return list(best.values())


def judge_checks(checks: Iterable[Check]) -> list[Finding]:
    """What failed checks of a model say."""
    checks = list(checks)
    failed = {check.name: check.evidence for check in checks if not check.passed}
    told, rests = [], f"{len(checks)} checks of the model, see glosstune verify"
    if "normalised" in failed or "log-probabilities" in failed:
        evidence = failed.get("normalised", failed.get("log-probabilities", ""))
        mend = "end the model with log_softmax(dim=-1) over the glosses"
        told.append(Finding("no log-softmax", 1.0, evidence, mend, "certain", rests))
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
            weight = 0.5 if name == "padding" else 0.95
            told.append(Finding(cause, weight, failed[name], mend, "certain", rests))
    return told


def _judge_frozen(sweep: Sweep, settings: TrialSettings) -> list[Finding]:
    """Whether layers are frozen that hold nothing worth freezing."""
    strategy = STRATEGIES[settings.tuned.strategy]
    if strategy.freeze_until is None or sweep.pretrained == AUTO:
        return []
    cause, mend = "frozen layers are random", "pretrained=auto"
    if settings.pretrained is None:
        told = f"{strategy.name} freezes layers, and there are no pretrained weights"
        return [Finding(cause, 0.9, told, mend, "certain", "the sweep's settings")]
    check_inputs(sweep, ["pretrained"])
    taken, missing = _arrived(settings)
    if taken < missing:
        told = f"{settings.pretrained.name} fills {taken} of the {taken + missing} tensors before the head"
        mend += ", or weights whose names and shapes fit"
        return [Finding(cause, 0.9, told, mend, "certain", f"{taken + missing} tensors")]
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
    scratch = sweep.pretrained == AUTO and STRATEGIES[settings.tuned.strategy].pretrained
    if scratch:
        tuned = settings.tuned.model_copy(update=_FROM_SCRATCH)
        settings = settings.model_copy(update={"tuned": tuned})
    which = "the recipe from scratch, for its weights are yet to be made," if scratch else "the recipe"
    say(f"probing {which} on 8 utterances, and again with each change that may help")
    try:
        with tempfile.TemporaryDirectory() as folder:
            found = probe_changes(settings, _few(settings.corpus, Path(folder)))
    except GlosstuneError as error:  # the data is at fault, which inspection has told better
        return _not_probed(f"the probe could not run: {error}")
    if not scratch:
        return found
    # From good weights it may learn all the same.
    return [replace(each, sure="possible", rests_on=f"{each.rests_on}, from scratch") for each in found]


def _not_probed(why: str, find_out: str = "mend what is told above, then diagnose again") -> list[Finding]:
    return [cannot_tell("whether the recipe learns", why, find_out, "no probe")]


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
