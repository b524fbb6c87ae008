"""What a trial starts from: a fresh model, with pretrained weights where its strategy uses them."""

from glosstune.models import LoadReport, WeightsFile, build_model, load_pretrained
from glosstune.models.recogniser import Recogniser
from glosstune.spaces import STRATEGIES
from glosstune.trainables.corpora.provenance import check_unseen
from glosstune.trainables.corpora.store import PackedCorpus
from glosstune.trainables.settings import TrialSettings


def starting_model(
    settings: TrialSettings, corpus: PackedCorpus, weights: WeightsFile | None = None
) -> tuple[Recogniser, LoadReport | None]:
    """A trial's model before its first step, on the CPU, and what arrived from its pretrained weights.

    Args:
        weights: what ``settings.pretrained`` holds, where that has been read already.

    Raises:
        SettingError, CheckpointError: see ``build_model``, ``load_pretrained`` and ``check_unseen``.
    """
    classes, dropout = len(corpus.vocabulary), settings.tuned.dropout
    seed = settings.training.seed
    model = build_model(
        vocabulary_size=classes,
        modalities=corpus.layout.modalities,
        dropout=dropout,
        seed=seed,
        **settings.model.model_dump(),
    )
    if settings.pretrained is None or not STRATEGIES[settings.tuned.strategy].pretrained:
        return model, None
    report = load_pretrained(
        model,
        settings.pretrained,
        settings.pretraining.adapt,
        vocabulary=corpus.vocabulary.glosses,
        layout=corpus.layout.recorded,
        file=weights,
    )
    check_unseen(settings.pretrained, report.recorded, corpus)
    return model, report
