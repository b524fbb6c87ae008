import math
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
import torch
from feature_folder import write_folder
from sessions import curve, trial_settings
from torch.utils._python_dispatch import TorchDispatchMode

from glosstune.models.recogniser import State
from glosstune.models.weights.weights_file import read_weights, write_weights
from glosstune.results.reading.epoch_metrics import METRICS
from glosstune.trainables import TrainingSession, word_error_rate
from glosstune.trainables.batches.batching import collate
from glosstune.trainables.corpora import FingerspellingCorpus, PackedCorpus, pack_corpus
from glosstune.trainables.ctc.losses import frames_needed
from glosstune.trainables.ctc.rules import RULES
from glosstune.trainables.settings import CorpusSettings


def test_an_epoch_reports_every_metric(small_corpus: PackedCorpus) -> None:
    metrics = TrainingSession(trial_settings(), small_corpus).run_epoch()
    assert set(metrics) == {"epoch", *METRICS}
    assert all(math.isfinite(value) for value in metrics.values())
    assert metrics["peak_gpu_mb"] == 0 or torch.cuda.is_available()
    total = metrics["substitution_rate"] + metrics["deletion_rate"] + metrics["insertion_rate"]
    assert metrics["wer"] == pytest.approx(total)


@pytest.mark.parametrize("taught", [False, True], ids=["alone", "taught"])
@pytest.mark.parametrize(("batch_size", "stride"), [(8, 4), (5, 4), (2, 2), (1, 8)])
def test_a_batch_in_two_parts_has_the_gradient_of_the_whole(
    small_corpus: PackedCorpus,
    small_settings: CorpusSettings,
    exported_teacher: Path,
    taught: bool,
    batch_size: int,
    stride: int,
) -> None:
    # At stride 8 some words have more letters than output frames.
    settings = trial_settings(
        model={"time_stride": stride}, tuned={"dropout": 0.0}, training={"batch_size": batch_size, "clip_norm": 1e9}
    )
    settings = settings.model_copy(update={"corpus": small_settings, "teacher": exported_teacher if taught else None})
    rows = small_corpus.rows("train")[:batch_size]
    steps = []
    for parts in (1, 2):
        session = TrainingSession(settings, small_corpus, device=torch.device("cpu"))
        session.micro_batches = parts
        result, divergence, norm = session._step(collate(small_corpus, rows, session.conditioning))
        gradients = {name: each.grad for name, each in session.model.named_parameters() if each.grad is not None}
        steps.append((result, divergence, norm, gradients))
    (whole, *figures, gradients), (halves, *others, split) = steps
    torch.testing.assert_close(halves.mean, whole.mean.detach(), rtol=1e-4, atol=1e-6)
    assert halves.feasible.tolist() == whole.feasible.tolist()
    assert [float(each) for each in others] == pytest.approx([float(each) for each in figures], rel=1e-3, abs=1e-5)
    assert gradients.keys() == split.keys()
    for name, gradient in gradients.items():
        torch.testing.assert_close(split[name], gradient, rtol=1e-2, atol=1e-4 * float(gradient.abs().max()) + 1e-7)


@pytest.mark.slow
def test_training_leaves_the_floor_on_a_handful_of_words(small_corpus: PackedCorpus) -> None:
    settings = trial_settings(
        training={"epochs": 40}, tuned={"learning_rate": 3e-3, "dropout": 0.0}, model={"width": 0.5}
    )
    session = TrainingSession(settings, small_corpus)
    first = session.run_epoch()["loss_below_floor"]
    last = [session.run_epoch()["loss_below_floor"] for _ in range(39)][-1]
    assert first < 0.1
    assert last > 0.25


def test_a_layer_that_thaws_starts_with_no_memory_and_the_others_keep_theirs(
    small_corpus: PackedCorpus, weights: Path
) -> None:
    settings = trial_settings(
        model={"kind": "teacher", "norm": "batch"},
        pretrained=weights,
        training={"epochs": 2},
        tuned={"strategy": "progressive", "unfreeze_stages": 2},
    )
    session = TrainingSession(settings, small_corpus)
    stem, lstm = session.model.get_parameter("stem.0.weight"), session.model.get_parameter("lstm.weight_ih_l0")
    before = session.model.get_submodule("stem").state_dict()
    before = {name: value.clone() for name, value in before.items()}
    steps = [session.run_epoch() and int(session.optimiser.state[lstm]["step"]) for _ in range(1)]
    assert stem not in session.optimiser.state
    # Neither weights nor running statistics of a frozen layer move.
    assert all(
        torch.equal(before[name], value) for name, value in session.model.get_submodule("stem").state_dict().items()
    )
    session.run_epoch()
    assert int(session.optimiser.state[stem]["step"]) == steps[0] == int(session.optimiser.state[lstm]["step"]) / 2
    assert not torch.equal(before["0.weight"], stem)


def test_baseline_starts_from_scratch_and_the_others_from_the_weights(
    small_corpus: PackedCorpus, weights: Path
) -> None:
    def first(strategy: str) -> TrainingSession:
        model = {"kind": "teacher", "norm": "batch"}
        return TrainingSession(
            trial_settings(model=model, pretrained=weights, tuned={"strategy": strategy}), small_corpus
        )

    baseline, tuned = first("baseline"), first("full-finetune")
    assert baseline.load_report is None and tuned.load_report is not None
    stems = [session.model.get_parameter("stem.0.weight") for session in (baseline, tuned)]
    assert not torch.equal(*stems)
    assert torch.equal(stems[1].cpu(), read_weights(weights).tensors["stem.0.weight"])


def test_random_values_train_below_the_depth_unless_they_may_be_frozen(
    small_corpus: PackedCorpus, weights: Path, tmp_path: Path
) -> None:
    tensors = read_weights(weights).tensors
    partial = {name: value for name, value in tensors.items() if not name.startswith("modality_fusion.norm_in")}
    write_weights(tmp_path / "partial.safetensors", partial, {})

    def stem_and_norm(allow: bool) -> tuple[bool, bool]:
        settings = trial_settings(
            model={"kind": "teacher", "norm": "batch"},
            pretrained=tmp_path / "partial.safetensors",
            freezing={"allow_random_frozen": allow},
            tuned={"strategy": "feature-extraction"},
        )
        model = TrainingSession(settings, small_corpus)
        model.run_epoch()
        names = ("stem.0.weight", "modality_fusion.norm_in.weight")
        return tuple(model.model.get_parameter(name).requires_grad for name in names)  # type: ignore[return-value]  # two names

    assert stem_and_norm(allow=False) == (False, True)
    assert stem_and_norm(allow=True) == (False, False)


def test_a_diverged_step_is_counted_and_changes_no_weight(
    small_corpus: PackedCorpus, monkeypatch: pytest.MonkeyPatch
) -> None:
    session = TrainingSession(trial_settings(tuned={"dropout": 0.0}), small_corpus)
    before = {name: value.clone() for name, value in session.model.state_dict().items()}
    forward = session.model.forward_from

    def diverge(layer: str, state: State, lengths: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
        log_probs, encoded, out = forward(layer, state, lengths)
        return (log_probs * math.nan if session.model.training else log_probs), encoded, out

    monkeypatch.setattr(session.model, "forward_from", diverge)
    metrics = session.run_epoch()
    assert metrics["nonfinite_steps"] == 3
    assert math.isnan(metrics["train_loss"]) and math.isnan(metrics["loss_below_floor"])
    assert all(torch.equal(before[name], value) for name, value in session.model.state_dict().items())


class Unread(TorchDispatchMode):
    """Refuses to turn a value that was computed into a number, for which a GPU would be waited for."""

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        if func is torch.ops.aten._local_scalar_dense.default:
            assert args[0].dtype == torch.int64, "a computed value was read"  # lengths lie on the CPU
        return func(*args, **(kwargs or {}))


@pytest.mark.parametrize("parts", [1, 2])
@pytest.mark.parametrize("taught", [False, True], ids=["alone", "taught"])
def test_a_step_reads_nothing_that_it_computes(
    small_corpus: PackedCorpus, small_settings: CorpusSettings, exported_teacher: Path, taught: bool, parts: int
) -> None:
    settings = trial_settings(model={"width": 0.25})
    settings = settings.model_copy(update={"corpus": small_settings, "teacher": exported_teacher if taught else None})
    session = TrainingSession(settings, small_corpus, device=torch.device("cpu"))
    session.micro_batches = parts
    rows = small_corpus.rows("train")[:4]
    session._step(collate(small_corpus, rows, session.conditioning))  # what is prepared once may be read
    batch = collate(small_corpus, rows, session.conditioning)
    with Unread():
        session._step(batch)
    with Unread(), pytest.raises(AssertionError, match="a computed value was read"):
        float(torch.ones(()) * 2)


def test_utterances_too_short_for_their_glosses_are_reported(small_corpus: PackedCorpus) -> None:
    session = TrainingSession(trial_settings(model={"time_stride": 16}), small_corpus)
    rows = small_corpus.rows("train")
    frames = session.model.output_lengths(torch.tensor([small_corpus.length(row) for row in rows])).tolist()
    targets = [small_corpus.vocabulary.encode(small_corpus.glosses(row)) for row in rows]
    infeasible = sum(frames_needed(target) > length for target, length in zip(targets, frames, strict=True))
    assert session.run_epoch()["infeasible_utterances"] == infeasible > 0


def test_a_corpus_too_short_for_its_glosses_is_reported_not_fatal(small_corpus: PackedCorpus) -> None:
    class Squeezed(PackedCorpus):
        def length(self, row: int) -> int:
            return 4

        def frames(self, row: int) -> npt.NDArray[np.float16]:
            return super().frames(row)[:4]

    squeezed = Squeezed(small_corpus.folder, small_corpus.key, small_corpus.width, small_corpus.layout, "plain")
    # Gains are not estimated, which would read what is cut off here.
    session = TrainingSession(trial_settings(corpus={"gains": {}}), squeezed)
    session.floor = 0.0
    metrics = session.run_epoch()
    assert metrics["infeasible_utterances"] == 24
    assert math.isnan(metrics["loss_below_floor"]) and metrics["wer"] <= 1.5


@pytest.fixture(scope="module")
def phoenix_settings(tmp_path_factory: pytest.TempPathFactory) -> CorpusSettings:
    """Real signing annotated as PHOENIX-2014 is: training raw, dev and test clean."""
    folder = tmp_path_factory.mktemp("phoenix")
    root = write_folder(folder / "a", FingerspellingCorpus(signers=("ase",), sentences=24), change=lambda v: v)
    raw = {"A": "loc-A", "E": "E-PLUSPLUS", "N": "cl-N"}
    path = root / "train.corpus.csv"
    header, *rows = path.read_text(encoding="utf-8").splitlines()
    fields = [row.rsplit("|", 1) for row in rows]
    lines = [f"{known}|__PU__ {' '.join(raw.get(g, g) for g in glosses.split())}" for known, glosses in fields]
    path.write_text("\n".join([header, *lines]), encoding="utf-8")
    return CorpusSettings(kind="phoenix", root=root, layout="base", cache=folder / "cache")


class Parrot(TrainingSession):
    """Writes what training would be annotated with, whatever it hears."""

    def _score(self, split: Any, beam: Any = None, **known: Any) -> Any:
        _, table, figures = super()._score(split, beam, **known)
        raw = {"A": "loc-A", "E": "E-PLUSPLUS", "N": "cl-N"}
        written = [["__PU__", *(raw.get(gloss, gloss) for gloss in text.split())] for text in table["reference"]]
        references = [text.split() for text in table["reference"]]
        rates = self.rule.count(references, written).rates
        table["hypothesis"] = [" ".join(glosses) for glosses in written]
        return rates, table, figures


def test_a_corpus_annotated_as_phoenix_is_scored_by_its_rule(phoenix_settings: CorpusSettings) -> None:
    corpus = pack_corpus(phoenix_settings)
    assert corpus.scoring == "phoenix2014" and "loc-A" in corpus.vocabulary.glosses
    session = TrainingSession(trial_settings(corpus=phoenix_settings.model_dump()), corpus)
    metrics = session.run_epoch()
    table = session.score("dev")
    references, written = ([text.split() for text in table[name]] for name in ("reference", "hypothesis"))
    assert metrics["wer"] == RULES["phoenix2014"].count(references, written).rates.wer
    assert metrics["wer_plain"] == word_error_rate(references, written).wer
    parrot = Parrot(trial_settings(corpus=phoenix_settings.model_dump()), corpus)
    parrot.run_epoch()
    assert parrot.best_wer == parrot.metrics["wer"] < 0.1  # but for repeats, which outputs lose
    assert parrot.hypotheses is not None
    glosses = {gloss for text in parrot.hypotheses["hypothesis"] for gloss in text.split()}
    assert "E" in glosses and not any(gloss.startswith(("loc-", "__")) for gloss in glosses)


def test_clean_targets_are_what_is_learned(phoenix_settings: CorpusSettings) -> None:
    settings = phoenix_settings.model_copy(update={"targets": "clean"})
    session = TrainingSession(trial_settings(corpus=settings.model_dump()), pack_corpus(settings))
    assert session.run_epoch()["wer"] >= 0
    assert session.corpus.vocabulary.glosses == tuple(sorted({g[:1] for g in session.corpus.vocabulary.glosses}))


def test_fingerspelling_is_scored_plainly(small_corpus: PackedCorpus) -> None:
    session = TrainingSession(trial_settings(), small_corpus)
    metrics = session.run_epoch()
    assert session.rule.name == "plain" and metrics["wer"] == metrics["wer_plain"]


def test_hypotheses_of_the_best_epoch_are_kept(small_corpus: PackedCorpus) -> None:
    session = TrainingSession(trial_settings(), small_corpus)
    session.run_epoch()
    assert session.hypotheses is not None
    assert list(session.hypotheses.columns) == ["key", "reference", "hypothesis"]
    assert session.hypotheses["reference"].to_list() == [
        " ".join(small_corpus.glosses(row)) for row in small_corpus.rows("dev")
    ]


def test_a_strategy_freezes_and_thaws_by_epoch(small_corpus: PackedCorpus) -> None:
    settings = trial_settings(
        model={"kind": "teacher"}, tuned={"strategy": "progressive", "unfreeze_stages": 4}, training={"epochs": 4}
    )
    counts = [metrics["trainable_params"] for metrics in curve(TrainingSession(settings, small_corpus), 4)]
    assert counts == sorted(set(counts))


@pytest.mark.parametrize("kind", ["teacher", "student"])
def test_fan_in_scaling_slows_wide_projections_only(small_corpus: PackedCorpus, kind: str) -> None:
    settings = trial_settings(model={"kind": kind}, training={"lr_scale": "fan_in"})
    session = TrainingSession(settings, small_corpus)
    session.run_epoch()
    scales = {group["scale"]: group["lr"] for group in session.optimiser.param_groups}
    assert min(scales) < 0.1 and max(scales) == 1.0
    assert scales[min(scales)] == pytest.approx(min(scales) * scales[1.0])
