"""Which recordings weights have learned from, so that no split holds out what they have already seen."""

import hashlib
from collections.abc import Mapping
from pathlib import Path

from glosstune.spaces.errors import CheckpointError
from glosstune.trainables.corpora.store import PackedCorpus
from glosstune.trainables.corpora.utterance import Split


def training_recordings(corpus: PackedCorpus, *earlier: Mapping[str, object]) -> list[str]:
    """A short hash of what each recording in the training split is known by, sorted; what a file of weights keeps.

    Args:
        earlier: what files say of themselves that training began from or was taught by: their recordings count too.
    """
    known = (found for recorded in earlier if isinstance(found := recorded.get("recordings"), list))
    return sorted(_recordings(corpus, "train").union(*known))


def check_unseen(path: Path, recorded: Mapping[str, object], corpus: PackedCorpus) -> None:
    """Require that weights have not learned from recordings which only dev or test have here.

    Where splits share recordings on purpose, those that training has too are not held out.

    Args:
        recorded: what the file of weights says of itself; without ``recordings`` nothing can be said.

    Raises:
        CheckpointError: they have.
    """
    known = recorded.get("recordings")
    if not isinstance(known, list):
        return
    held_out = (_recordings(corpus, "dev") | _recordings(corpus, "test")) - _recordings(corpus, "train")
    seen = len(held_out & set(known))
    if seen:
        raise CheckpointError(
            f"{path}: learned from {seen} of the {len(held_out)} recordings that dev and test hold out here; "
            "use weights that were made on this split"
        )


def _recordings(corpus: PackedCorpus, split: Split) -> set[str]:
    recordings = corpus.table["recordings"].iloc[corpus.rows(split)]
    names = {name for several in recordings for name in several}
    return {hashlib.sha256(name.encode()).hexdigest()[:16] for name in names}
