"""What a sweep needs before its first trial: the corpus, machines and weights, each checked and told."""

import os
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

from glosstune.models import read_weights
from glosstune.search.config.errors import Say
from glosstune.search.config.rules import check_inputs, check_parts, tell_rungs
from glosstune.search.config.sections import AUTO
from glosstune.search.config.sweep import Sweep
from glosstune.search.driver.driving import tell_loss
from glosstune.search.driver.weights import check_input, settle_gains, tell_start, with_weights
from glosstune.search.nodes.attaching import attach, check_nodes
from glosstune.search.nodes.gpu_share import gpu_share, needed_gb
from glosstune.search.nodes.head_watch import last_words, watch_ray
from glosstune.search.nodes.heads import check_head
from glosstune.search.nodes.joining import joining_nodes, wait_for_head, wait_for_nodes
from glosstune.search.nodes.tokens import ask_for_tokens
from glosstune.search.scheduler.experience.known import known_to
from glosstune.search.scheduler.sampler import check_sampler
from glosstune.search.scheduler.trial import TrialState
from glosstune.search.scheduler.warm_start import earlier_trials, read_earlier, tell_scorings
from glosstune.search.storage.sweep_folder import SweepFolder
from glosstune.search.tracking.trackers import check_tracking
from glosstune.spaces.errors import CorpusError
from glosstune.trainables.checks.look_alikes import corpus_look_alikes
from glosstune.trainables.corpora import PackedCorpus, pack_corpus
from glosstune.trainables.corpora.utterance import SPLITS, Split
from glosstune.trainables.ctc.floor import corpus_floor, infeasible_rows
from glosstune.trainables.ctc.rules import RULES
from glosstune.trainables.distillation.posteriors import check_teacher, teacher_posteriors
from glosstune.trainables.export.exporting import TrainedRecogniser, load_recogniser
from glosstune.trainables.settings import TrialSettings
from glosstune.trainables.training.input_files import InputFile

# Before anything of what was asked for is written, as what a sweep that goes on is to have otherwise.
_AGAIN = "go on with: the same command"


@dataclass(frozen=True)
class Prepared:
    """What is ready.

    Attributes:
        sweep: with a file of weights where it said ``pretrained: auto``, gains in numbers where it said
            ``corpus.gains: auto``, and the share of a GPU.
        floors: nats a gloss, of train and dev.
        weights: what a manifest says of the weights.
        teacher: what it says of the teacher.
        inputs: the files that trials begin from, by key of their settings.
        earlier: trials of other sweeps, for the sampler.
    """

    sweep: Sweep
    corpus: PackedCorpus
    floors: dict[Split, float]
    weights: dict[str, Any] | None
    teacher: dict[str, Any] | None
    inputs: Mapping[str, InputFile]
    earlier: Sequence[TrialState]


@contextmanager
def prepare(
    sweep: Sweep, say: Say, work: SweepFolder, address: str | None = None, *, gains: Mapping[str, Any] | None = None
) -> Iterator[Prepared]:
    """Open or pack the corpus, connect to Ray, and make the weights where there are none; nothing is kept.

    Where Ray is lost inside, this process ends, and says what goes on (see ``watch_ray``).

    Args:
        work: of the sweep, whose place all nodes of a cluster have to see.
        address: of a cluster to attach to; default RAY_ADDRESS, else Ray is started here.
        gains: that the sweep began with, or that of which it is a confirmation; else ``auto`` is estimated.

    Raises:
        CorpusError, CheckpointError, SettingError: see ``launch``.
    """
    named = os.environ.get("RAY_ADDRESS")
    cluster = address or (None if named == "local" else named)
    ask_for_tokens(say, cluster)
    joining = joining_nodes() if cluster else 0
    if joining:
        wait_for_head(str(cluster))
    if cluster:
        check_head(cluster, say, "--address" if address else "RAY_ADDRESS")
    check_parts(sweep)
    if no_rungs := tell_rungs(sweep):
        say(no_rungs)
    records = read_earlier(sweep)
    earlier = earlier_trials(sweep, records, say)
    known_to(sweep)  # which the scheduler reads when it draws
    check_inputs(sweep)
    # A wrong file shows at once, not after the corpus is packed. Each is read here, and handed on to all who need it.
    loaded = None if sweep.pretrained in (None, AUTO) else read_weights(str(sweep.pretrained))
    kinds = {sweep.model.kind, sweep.teacher_kind}
    teacher = None if sweep.teacher is None else load_recogniser(sweep.teacher, kinds)
    paths = {"pretrained": None if loaded is None else sweep.pretrained, "teacher": sweep.teacher}
    inputs = {key: InputFile.read(Path(path)) for key, path in paths.items() if path is not None}
    check_tracking(sweep)
    check_sampler(sweep, say)
    # Whatever is wrong with the data shows here, before anything is written.
    say(f"corpus: packing or opening {sweep.corpus.kind} ({sweep.corpus.split})")
    corpus = pack_corpus(sweep.corpus)
    stride = sweep.model.time_stride
    floors = {split: corpus_floor(corpus, split, stride) for split in SPLITS[:2]}  # test waits for confirmation
    say(_describe(corpus))
    sweep = settle_gains(sweep, corpus, say, known=gains, teacher=teacher)
    check_input(sweep, corpus)
    tell_scorings(records, corpus.scoring, say)
    say(f"CTC floor: {floors['train']:.2f} nats a gloss (train, time stride {stride})")
    _check_feasible(corpus, stride, say)
    if teacher is not None:
        check_teacher(teacher, _of_teacher(sweep), corpus)
    weights = None
    if sweep.pretrained != AUTO:
        weights = tell_start(sweep, corpus, loaded, inputs.get("pretrained"), say)

    os.environ.setdefault("RAY_AIR_NEW_OUTPUT", "0")  # the new output engine cannot be silenced
    import ray

    from glosstune.search.nodes.resources import check_resources, gpu_memory_gb, own_node, start_ray, tell_slots

    if address:
        attach(address, sweep.own_parts)
    start_ray(say)
    head, lose = ray.get_runtime_context().gcs_address, partial(tell_loss, again=_AGAIN, say=say)
    with watch_ray(head, own_node(), lose), last_words(_AGAIN):
        if joining:
            wait_for_nodes(joining, say)  # which have joined meanwhile, while the corpus was packed
        check_nodes(sweep, work.place, say)
        if sweep.resources.gpu is None:
            longest = max(map(corpus.length, corpus.rows("train")))
            sweep = _with_gpu(sweep, longest, gpu_memory_gb(), bool(cluster), say)
        check_resources(sweep, say if cluster else None)  # which other nodes may join
        tell_slots(sweep.resources, say)
        taught = None
        if teacher is not None:
            taught = _tell_teacher(sweep, corpus, teacher, inputs["teacher"], say)
        if sweep.pretrained == AUTO:  # which may take hours, so not before it is clear that trials can run
            sweep = with_weights(sweep, corpus, say)
            inputs["pretrained"] = InputFile.read(Path(str(sweep.pretrained)))
            weights = tell_start(sweep, corpus, read_weights(str(sweep.pretrained)), inputs["pretrained"], say)
        yield Prepared(sweep, corpus, floors, weights, taught, inputs, earlier)


def _with_gpu(sweep: Sweep, frames: int, memory_gb: float | None, attached: bool, say: Say) -> Sweep:
    """The sweep with the share of a GPU that its trials need, none where there is none."""
    share = 0.0 if memory_gb is None else gpu_share(sweep, frames, memory_gb)
    if memory_gb is None:
        later = "; to wait for nodes with GPUs that join later, set it, such as resources.gpu=0.25" if attached else ""
        say(f"resources.gpu: 0, for there is no GPU{later}")
    else:
        needed = needed_gb(sweep, frames)
        say(f"resources.gpu: {share:g}, for a trial takes about {needed:.1f} of the smallest GPU's {memory_gb:.0f} GB")
    return sweep.model_copy(update={"resources": sweep.resources.model_copy(update={"gpu": share})})


def _tell_teacher(
    sweep: Sweep, corpus: PackedCorpus, teacher: TrainedRecogniser, file: InputFile, say: Say
) -> dict[str, Any]:
    """Have the teacher's posteriors ready for all trials, and say what it is worth; what a manifest keeps of it."""
    found = teacher_posteriors(_of_teacher(sweep), corpus, teacher, file.sha256, say)
    say(f"teacher: WER {found.wer:.1%} on dev; {found.size_mb:.0f} MB of posteriors in {found.folder}")
    if sweep.model.time_stride != found.time_stride:
        say(f"teacher: its time stride {found.time_stride} is aligned to model.time_stride {sweep.model.time_stride}")
    return {"file": str(sweep.teacher), "sha256": found.sha256, "wer": found.wer, "time_stride": found.time_stride}


def _of_teacher(sweep: Sweep) -> TrialSettings:
    """What the settings of all trials say of the teacher."""
    return TrialSettings(model=sweep.model, corpus=sweep.corpus, teacher=sweep.teacher, teacher_kind=sweep.teacher_kind)


def _check_feasible(corpus: PackedCorpus, stride: int, say: Say) -> None:
    infeasible, rows = len(infeasible_rows(corpus, "train", stride)), len(corpus.rows("train"))
    if infeasible == rows:
        raise CorpusError(
            f"every training utterance has more glosses than output frames at model.time_stride {stride}; lower it"
        )
    if infeasible:
        say(f"train: {infeasible} of {rows} utterances have more glosses than output frames and cannot be trained on")


def _describe(corpus: PackedCorpus) -> str:
    table = corpus.table
    counts = ", ".join(f"{len(corpus.rows(split))} {split}" for split in ("train", "dev", "test"))
    rule = RULES[corpus.scoring]
    dev = sorted({gloss for row in corpus.rows("dev") for gloss in corpus.glosses(row)})
    unknown = rule.unreachable(dev, corpus.vocabulary.glosses)
    line = (
        f"corpus: {counts} utterances, {len(corpus.vocabulary) - 1} glosses, {table['frames'].mean():.0f} frames each"
    )
    line += "".join(f"\n{note}" for note in corpus.notes)
    line += f"\nscoring: {rule.name}, {rule.described}"
    if unknown:
        listed = ", ".join(unknown[:10]) + (", …" if len(unknown) > 10 else "")
        line += f"\ndev: {len(unknown)} glosses do not occur in training and count as errors: {listed}"
    if alike := corpus_look_alikes(corpus):
        line += f"\n{alike}"
    return line
