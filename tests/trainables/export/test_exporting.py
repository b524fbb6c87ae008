"""An exported recogniser recognises what its trial did."""

from pathlib import Path

import pytest
import torch

from glosstune.models import read_weights, write_weights
from glosstune.spaces.errors import CheckpointError
from glosstune.trainables import ModelSettings, TrainingSession, TrialSettings, export_checkpoint, load_recogniser
from glosstune.trainables.batches.batching import collate
from glosstune.trainables.batches.precision import autocast
from glosstune.trainables.corpora import PackedCorpus
from glosstune.trainables.settings import CorpusSettings


@pytest.fixture(scope="module")
def trained(
    small_corpus: PackedCorpus, small_settings: CorpusSettings, tmp_path_factory: pytest.TempPathFactory
) -> Path:
    """The checkpoint of a session of one epoch."""
    gains = {"face": 0.0, "hands": 2.0}
    corpus = small_settings.model_copy(update={"gains": small_settings.gains.model_copy(update=gains)})
    settings = TrialSettings(corpus=corpus, model=ModelSettings(kind="student", width=0.25))
    session = TrainingSession(settings, small_corpus, device=torch.device("cpu"))
    session.run_epoch()
    path = tmp_path_factory.mktemp("trained") / "best.pt"
    session.save(path)
    return path


@pytest.mark.usefixtures("on_cpu")
def test_what_it_writes_is_what_the_trial_wrote(trained: Path, small_corpus: PackedCorpus, tmp_path: Path) -> None:
    export_checkpoint(trained, tmp_path / "student.safetensors", {"wer": 0.5})
    recogniser = load_recogniser(tmp_path / "student.safetensors")
    rows = small_corpus.rows("dev")
    written = recogniser.recognise([small_corpus.frames(row) for row in rows])
    session = TrainingSession.of_checkpoint(trained, small_corpus)
    expected = session.score("dev")["hypothesis"]
    assert [" ".join(glosses) for glosses in written] == expected.tolist()
    batch = collate(small_corpus, rows[:1], session.conditioning)
    session.model.eval()
    with torch.no_grad(), autocast(torch.device("cpu"), "auto"):
        theirs, _ = session.model(batch.features, batch.lengths)
    ours, lengths = recogniser.log_probs([small_corpus.frames(rows[0])])
    # One epoch writes blanks only; the probabilities tell whether input and weights arrived.
    torch.testing.assert_close(ours[: lengths[0], 0], theirs[: lengths[0], 0])
    assert recogniser.vocabulary == small_corpus.vocabulary
    assert recogniser.scores == {"epoch": 1, "wer": 0.5}
    assert recogniser.settings.model.width == 0.25
    assert not recogniser.model.training


def test_its_log_probabilities_do_not_depend_on_the_batch(
    trained: Path, small_corpus: PackedCorpus, tmp_path: Path
) -> None:
    export_checkpoint(trained, tmp_path / "student.safetensors", {})
    recogniser = load_recogniser(tmp_path / "student.safetensors")
    first, second = (small_corpus.frames(row) for row in small_corpus.rows("dev")[:2])
    together, lengths = recogniser.log_probs([first, second])
    alone, _ = recogniser.log_probs([second])
    torch.testing.assert_close(together[: lengths[1], 1], alone[:, 0], atol=1e-4, rtol=1e-4)
    with pytest.raises(ValueError, match=r"an utterance of shape \(3, 7\)"):
        recogniser.log_probs([first[:3, :7]])


def test_a_file_of_another_kind_is_refused(trained: Path, tmp_path: Path) -> None:
    path = tmp_path / "student.safetensors"
    export_checkpoint(trained, path, {})
    file = read_weights(path)
    bare = {name: tensor for name, tensor in file.tensors.items() if not name.startswith("conditioning")}
    write_weights(tmp_path / "bare.safetensors", bare, file.recorded)
    with pytest.raises(CheckpointError, match="is no exported recogniser; write one with glosstune export"):
        load_recogniser(tmp_path / "bare.safetensors")
    short = dict(list(file.tensors.items())[1:])
    write_weights(tmp_path / "short.safetensors", short, file.recorded)
    with pytest.raises(CheckpointError, match="its tensors do not fit its settings"):
        load_recogniser(tmp_path / "short.safetensors")
    with pytest.raises(CheckpointError, match="no such file"):
        load_recogniser(tmp_path / "nowhere.safetensors")
