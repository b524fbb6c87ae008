"""Train and score one configuration, epoch by epoch, without Ray."""

import io
import math
import time
from collections.abc import Callable, Collection, Sequence
from dataclasses import asdict, replace
from pathlib import Path

import numpy as np
import pandas as pd
import torch
from torch import Tensor, nn

from glosstune.models import trainable_parameters
from glosstune.models.recogniser import Recogniser
from glosstune.results.reading.epoch_metrics import PLAIN
from glosstune.spaces.errors import CheckpointError
from glosstune.spaces.files.atomic import write_whole
from glosstune.trainables.activations import ActivationCache, ActivationStore
from glosstune.trainables.batches.batching import EVALUATION_BATCH, Batch, shuffled_batches, sorted_batches
from glosstune.trainables.batches.capturing import CapturedForward
from glosstune.trainables.batches.conditioning import Conditioning
from glosstune.trainables.batches.gains import with_gains
from glosstune.trainables.batches.precision import autocast
from glosstune.trainables.batches.prefetching import prefetched
from glosstune.trainables.batches.quicker import settled_precision, with_precision
from glosstune.trainables.corpora.provenance import check_unseen, training_recordings
from glosstune.trainables.corpora.store import PackedCorpus
from glosstune.trainables.corpora.utterance import Split
from glosstune.trainables.ctc.decoding import beam_decode, blank_frames, greedy_decode
from glosstune.trainables.ctc.floor import corpus_floor
from glosstune.trainables.ctc.losses import CTCLoss, ctc_loss, shares_of_parts, sum_losses
from glosstune.trainables.ctc.rules import RULES
from glosstune.trainables.ctc.scoring import ErrorRates
from glosstune.trainables.ctc.steps import sum_steps
from glosstune.trainables.distillation.distillation import Distillation
from glosstune.trainables.distillation.posteriors import open_teacher, with_gains_of
from glosstune.trainables.export.checkpoints import check_named, read_checkpoint, recorded_settings
from glosstune.trainables.settings import TrialSettings
from glosstune.trainables.training.averaging import AveragedWeights
from glosstune.trainables.training.feed import Feed
from glosstune.trainables.training.initial_model import starting_model
from glosstune.trainables.training.optimiser import (
    build_optimiser,
    discriminative_factors,
    set_learning_rate,
    step_where_finite,
)
from glosstune.trainables.training.schedule import learning_rate_factor, thaw_factor
from glosstune.trainables.training.thawing import thaw_epochs, thaw_for


class TrainingSession:
    """Owns model, optimiser, schedule, freezing and scoring of one trial.

    Deterministic under ``settings.training.seed`` on one machine's CPU (on CUDA the CTC loss itself is
    not): all randomness of an epoch derives from (seed, epoch), so a session resumed between epochs goes
    on as if it had never stopped.

    Args:
        settings: everything about the trial.
        corpus: its packed corpus.
        device: default CUDA where there is one, else the CPU.
        say: told what the trial's log should hold.
        alive: called with every batch.

    Attributes:
        epoch: epochs done.
        best_wer: lowest WER on dev so far; infinity before the first epoch.
        improved: whether the last epoch lowered it.
        metrics: what ``run_epoch`` returned last.
        model: what trains.
        precision: that it computes in; ``auto`` on a CPU is bfloat16 where the processor multiplies in it.
        averaged: its averaged weights, where ``training.average_epochs`` asks for them.
        rule: that errors are counted by.
        hypotheses: of the epoch with the best WER, as they are counted: a row an utterance (key, reference,
            hypothesis).
        micro_batches: parts that a batch is taken through the model in, one after the other, with one step for all:
            the gradient is that of the whole, in half the memory with two. Only batch normalisation, and the
            weighting of distilled frames other than by their number, see the parts.
        load_report: what arrived from ``settings.pretrained``; None where the strategy starts from scratch.

    Raises:
        SettingError: a layer to freeze until that the model does not have.
        CheckpointError: the pretrained weights or the teacher do not fit.
    """

    def __init__(
        self,
        settings: TrialSettings,
        corpus: PackedCorpus,
        *,
        device: torch.device | None = None,
        say: Callable[[str], None] = lambda line: None,
        alive: Callable[[], object] = lambda: None,
    ) -> None:
        self.settings = settings
        self.corpus = corpus
        self.rule = RULES[corpus.scoring]
        self.device = device or torch.device("cuda" if torch.cuda.is_available() else "cpu")
        training, freezing = settings.training, settings.freezing
        self.model, self.load_report = starting_model(settings, corpus)
        self.model.to(self.device)
        self.precision = settled_precision(settings, self.model, self.device, say, graphs=training.cuda_graphs)
        # Frozen at random values a layer would only scramble what passes through it.
        random_trains = self.load_report is not None and not freezing.allow_random_frozen
        self.fresh = self.load_report.fresh if self.load_report and random_trains else frozenset[str]()
        self.thaw_epochs = thaw_epochs(self.model, settings)
        self.distillation: Distillation | None = None
        earlier = [self.load_report.recorded] if self.load_report else []
        if settings.teacher is not None:
            teacher = open_teacher(settings, corpus)
            self.distillation = Distillation.of(settings, corpus, teacher)
            # Both read the same input, also where the teacher has learned from more of the corpus.
            source, conditioning = with_gains_of(teacher, settings.corpus), teacher.conditioning
            earlier.append(teacher.recorded)
        else:
            source = with_gains(settings.corpus, corpus)
            conditioning = Conditioning.of_corpus(corpus, source)
        self.settings = settings = settings.model_copy(update={"corpus": source})  # a checkpoint keeps numbers
        self.recordings = training_recordings(corpus, *earlier)
        self.conditioning = conditioning.to(self.device)
        self.learning_rate = settings.learning_rate
        factors = discriminative_factors(self.model, freezing.discriminative)
        self.optimiser = build_optimiser(self.model, training, self.learning_rate, factors)
        self.averaged: AveragedWeights | None = None
        if training.average_epochs:
            steps = -(-len(corpus.rows("train")) // training.batch_size)
            self.averaged = AveragedWeights(self.model, training.average_epochs * steps)
        self._say, self._alive = say, alive
        self._captured: CapturedForward | None = None
        if self.device.type == "cuda" and training.cuda_graphs:
            self._captured = CapturedForward(self.model, self.precision, say)
        self._read_input()
        self.floor = corpus_floor(corpus, "train", settings.model.time_stride)
        self.micro_batches = 1
        self.epoch = 0
        self.best_wer = math.inf
        self.improved = False
        self.metrics: dict[str, float] = {}
        self.hypotheses: pd.DataFrame | None = None

    @property
    def recogniser(self) -> Recogniser:
        """What is scored and handed on: the model, with averaged weights where they are averaged."""
        return self.model if self.averaged is None else self.averaged.model

    def run_epoch(self) -> dict[str, float]:
        """Train one epoch and score dev; returns ``epoch`` and every one of ``epoch_metrics.METRICS``.

        ``loss_below_floor`` compares the training loss with the CTC floor: 0 says that the model has
        learned nothing from its input, 1 that it knows everything, below 0 that it is worse than blind.
        ``loss_below_floor_se`` is its standard error over the utterances of the epoch.
        """
        started = time.perf_counter()
        if self.device.type == "cuda":
            torch.cuda.reset_peak_memory_stats(self.device)
        thaw_for(self.model, self.epoch, self.thaw_epochs, self.fresh)
        store = self._activations.find(self.model, self._evaluated)
        with torch.random.fork_rng(devices=[self.device] if self.device.type == "cuda" else []):
            # Dropout draws from torch's own generator, which therefore depends on (seed, epoch) alone.
            torch.manual_seed(self.settings.training.seed * 100_003 + self.epoch)
            metrics = self._train_epoch(store)
        trained_s = time.perf_counter() - started
        loss_se = metrics.pop("train_loss_se")
        self.epoch += 1
        rates, hypotheses, dev = self._score("dev", store=store)
        self.improved = rates.wer < self.best_wer
        if self.improved:
            self.best_wer = rates.wer
            self.hypotheses = self.rule.cleaned(hypotheses)
        self.metrics = {
            "epoch": self.epoch,
            **asdict(rates),
            "best_wer": self.best_wer,
            **metrics,
            **dev,
            # A corpus of one gloss an utterance may have a floor of 0, which nothing is below.
            "loss_below_floor": (self.floor - metrics["train_loss"]) / self.floor if self.floor else math.nan,
            "loss_below_floor_se": loss_se / self.floor if self.floor else math.nan,
            "frames_per_s": sum(map(self.corpus.length, self.corpus.rows("train"))) / trained_s,
            "epoch_s": time.perf_counter() - started,
            "micro_batches": self.micro_batches,
            "trainable_params": trainable_parameters(self.model),
            "peak_gpu_mb": torch.cuda.max_memory_allocated(self.device) / 2**20 if self.device.type == "cuda" else 0.0,
        }
        return self.metrics

    def score(self, split: Split, beam: int | None = None) -> pd.DataFrame:
        """What the model as it is now writes for a split: a row an utterance (key, reference, hypothesis).

        Both are as they are, before any rule cleans them up.

        Args:
            beam: of a prefix beam search; None decodes greedily.
        """
        return self._score(split, beam)[1]

    def save(self, path: Path) -> None:
        """Write a checkpoint whole: weights, optimiser, epoch, and what reading features again needs."""
        state = {
            "model": self.recogniser.state_dict(),
            "trained": None if self.averaged is None else (self.averaged.steps, self.model.state_dict()),
            "optimiser": self.optimiser.state_dict(),
            "epoch": self.epoch,
            "best_wer": self.best_wer,
            "metrics": self.metrics,
            "vocabulary": list(self.corpus.vocabulary.glosses),
            "layout": self.corpus.layout.recorded,
            "recordings": self.recordings,
            "fresh": sorted(self.fresh),
            "micro_batches": self.micro_batches,
            "conditioning": {"scale": self.conditioning.scale, "offset": self.conditioning.offset},
            "corpus": self.corpus.key,
            "taught_by": self.distillation.recorded if self.distillation is not None else None,
            "settings": self.settings.model_dump(mode="json"),
        }
        # By way of memory: torch's own writer hides a full disk behind a RuntimeError of changing text.
        buffer = io.BytesIO()
        torch.save(state, buffer)
        write_whole(path, lambda partial: partial.write_bytes(buffer.getbuffer()))

    def load(self, path: Path) -> None:
        """Go on from a checkpoint of the same settings; CheckpointError if it is unreadable or of another trial."""
        state = read_checkpoint(path, self.device)
        if tuple(state["vocabulary"]) != self.corpus.vocabulary.glosses:
            raise CheckpointError(f"{path}: its model writes other glosses than this corpus has")
        if state["layout"] != self.corpus.layout.recorded:
            raise CheckpointError(f"{path}: its model reads frames of another layout than this corpus has")
        check_unseen(path, state, self.corpus)
        try:
            self.recogniser.load_state_dict(state["model"])
            if self.averaged is not None:
                self.averaged.steps, trained = state["trained"]
                self.model.load_state_dict(trained)
            self.optimiser.load_state_dict(state["optimiser"])
            self.epoch, self.best_wer = int(state["epoch"]), float(state["best_wer"])
            self.metrics = dict(state["metrics"])
            self.recordings = list(state["recordings"])
            self.micro_batches = max(self.micro_batches, int(state["micro_batches"]))
            kept = state["conditioning"]
            self.conditioning = replace(self.conditioning, scale=kept["scale"], offset=kept["offset"])
            self.fresh = frozenset(state["fresh"])
            self._read_input()
        except Exception as error:  # torch raises a different type for each kind of misfit
            raise CheckpointError(f"{path}: cannot be loaded into this trial ({error})") from error

    @classmethod
    def of_checkpoint(cls, path: Path, corpus: PackedCorpus, kinds: Collection[str] = ()) -> "TrainingSession":
        """The session that wrote a checkpoint, on a corpus with the same glosses; CheckpointError as for ``load``.

        Args:
            kinds: see ``load_recogniser``.
        """
        settings = recorded_settings(path, read_checkpoint(path, torch.device("cpu"))["settings"])
        check_named(path, settings, kinds)
        # The checkpoint holds all weights; the files that training began from or was taught by may be gone.
        session = cls(settings.model_copy(update={"pretrained": None, "teacher": None}), corpus)
        session.load(path)
        return session

    def _read_input(self) -> None:
        """Take batches under the conditioning that there is now."""
        settings = with_precision(self.settings, self.precision)
        self._feed = Feed(self.corpus, self.conditioning, self.device, settings.training, self._alive)
        self._activations = ActivationCache(
            settings, self.corpus, self.conditioning, self.device, self._say, self._alive
        )

    def _train_epoch(self, store: ActivationStore | None) -> dict[str, float]:
        training = self.settings.training
        generator = np.random.default_rng([training.seed, self.epoch])
        rows = self.corpus.rows("train")
        batches = shuffled_batches(rows, [self.corpus.length(row) for row in rows], training.batch_size, generator)
        self.model.train()
        made = (self._feed.trained(batch_rows, self.model, store, generator) for batch_rows in batches)
        rate, steps = 0.0, list[Tensor]()
        for step, batch in enumerate(prefetched(made) if self.device.type == "cuda" else made):
            progress = self.epoch + (step + 1) / len(batches)
            rate = self.learning_rate * learning_rate_factor(
                progress,
                epochs=training.epochs,
                warmup_epochs=self.settings.tuned.warmup_epochs,
                schedule=training.schedule,
                final_decay=training.final_decay,
            )
            set_learning_rate(self.optimiser, rate, self._thaw_factors(progress))
            result, taught, norm = self._step(batch)
            # Read once an epoch: to read a value of a GPU waits for all that it has been given to do.
            figures = (result.mean.detach(), result.feasible.sum(), result.squares, taught, norm)
            steps.append(torch.stack([figure.float() for figure in figures]))
        return {**sum_steps(torch.stack(steps).tolist(), len(rows)), "learning_rate": rate}

    def _step(self, batch: Batch) -> tuple[CTCLoss, Tensor, Tensor]:
        """One optimiser step; its CTC loss, divergence from the teacher and gradient norm.

        A non-finite step changes no weight. Nothing that is computed here is read here.
        """
        parts = batch.split(self.micro_batches)
        results, taught = [], torch.zeros((), device=self.device)
        self.optimiser.zero_grad(set_to_none=True)
        for part, (of_losses, of_frames) in zip(parts, self._shares(parts), strict=True):
            result, lesson, divergence = self._losses(part)
            loss = result.mean * of_losses
            if lesson is not None:
                loss = lesson * of_frames + (1 - self.settings.distillation.alpha) * loss
            loss.backward()  # type: ignore[no-untyped-call]  # torch has no annotation for it
            results.append(result.detached(of_losses))
            taught += divergence * of_frames
        result = sum_losses(results)
        norm = nn.utils.clip_grad_norm_(self.model.parameters(), self.settings.training.clip_norm)
        step_where_finite(self.optimiser, norm)
        if self.averaged is not None:
            self.averaged.update(self.model)
        return result, taught, norm

    def _losses(self, batch: Batch) -> tuple[CTCLoss, Tensor | None, Tensor]:
        """The CTC loss of a batch, what a teacher adds to it, and the divergence from that teacher."""
        if self.micro_batches > 1:  # gradients of a replay would lie where those of the last did, and memory is short
            self._captured = None
        log_probs, encoded, lengths = self._captured(batch) if self._captured else self._forward(self.model, batch)
        result = ctc_loss(log_probs, lengths, [self._target(row) for row in batch.rows])
        if self.distillation is None:
            return result, None, torch.zeros((), device=self.device)
        lesson, divergence = self.distillation.loss(batch.rows, batch.lengths, log_probs, encoded, lengths)
        return result, lesson, divergence

    def _forward(self, model: Recogniser, batch: Batch) -> tuple[Tensor, Tensor, Tensor]:
        with autocast(self.device, self.precision):
            return model.forward_from(batch.layer or model.layer_names[0], batch.state, batch.lengths)

    def _shares(self, parts: Sequence[Batch]) -> list[tuple[float, float]]:
        if len(parts) == 1:
            return [(1.0, 1.0)]
        frames = [self.model.output_lengths(part.lengths).tolist() for part in parts]
        return shares_of_parts([[self._target(row) for row in part.rows] for part in parts], frames)

    @torch.no_grad()
    def _score(
        self, split: Split, beam: int | None = None, *, store: ActivationStore | None = None
    ) -> tuple[ErrorRates, pd.DataFrame, dict[str, float]]:
        model = self.recogniser.eval()
        rows = self.corpus.rows(split)
        known = {row for row in rows if not self.corpus.vocabulary.unknown(self.corpus.glosses(row))}
        loss_sum, losses, blanks, frames = 0.0, 0, 0, 0
        hypotheses: dict[int, list[str]] = {}
        for batch_rows in sorted_batches(rows, [self.corpus.length(row) for row in rows], self._evaluated):
            batch = self._feed.scored(batch_rows, store)
            log_probs, _, lengths = self._forward(model, batch)
            decoded = greedy_decode(log_probs, lengths) if beam is None else beam_decode(log_probs, lengths, beam)
            for row, classes in zip(batch_rows, decoded, strict=True):
                hypotheses[row] = self.corpus.vocabulary.decode(classes)
            blank, valid = blank_frames(log_probs, lengths)
            blanks, frames = blanks + blank, frames + valid
            # A gloss without a class has no place in a target; it counts as an error in the WER below.
            kept = [slot for slot, row in enumerate(batch_rows) if row in known]
            if kept:
                result = ctc_loss(log_probs[:, kept], lengths[kept], [self._target(batch_rows[slot]) for slot in kept])
                usable = int(result.feasible.sum())
                loss_sum, losses = loss_sum + float(result.mean) * usable, losses + usable
        references = [list(self.corpus.glosses(row)) for row in rows]
        written = [hypotheses[row] for row in rows]
        rates = self.rule.count(references, written).rates
        plain = rates if self.rule.name == PLAIN else RULES[PLAIN].count(references, written).rates
        table = pd.DataFrame(
            {
                "key": self.corpus.table["key"].iloc[rows].to_list(),
                "reference": [" ".join(reference) for reference in references],
                "hypothesis": [" ".join(glosses) for glosses in written],
            }
        )
        dev_loss = loss_sum / losses if losses else math.nan
        return rates, table, {"wer_plain": plain.wer, "dev_loss": dev_loss, "blank_ratio": blanks / frames}

    @property
    def _evaluated(self) -> int:
        """Utterances at a time where nothing is learned."""
        return max(1, EVALUATION_BATCH // self.micro_batches)

    def _thaw_factors(self, progress_epochs: float) -> dict[str, float]:
        warmup = self.settings.freezing.warmup_at_thaw
        return {layer: thaw_factor(progress_epochs, first, warmup) for layer, first in self.thaw_epochs.items()}

    def _target(self, row: int) -> list[int]:
        return self.corpus.vocabulary.encode(self.corpus.glosses(row))
