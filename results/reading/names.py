"""Names in the folder of a sweep, here or on object storage, each written down once."""

from pathlib import Path

from glosstune.spaces.errors import FolderError

# Of the sweep.
RECORD = "record.jsonl"
SWEEP = "sweep.yaml"  # as it was resolved, and as it was changed since
MANIFEST = "manifest.json"
LOCK = "driver.lock"
OWNER = "driver.json"  # who holds the lock
DRIVER_LOG = "driver.log"  # what a driver in the background says
REQUESTS = "requests"  # to a running driver, a file each
CURVES = "curves.png"
REPORT = "report.html"
TENSORBOARD = "tensorboard"
STUDY = "study.journal"
WANDB = "wandb"  # W&B's own files
INPUTS = "inputs"  # weights and teacher, by their hash
RAY = "ray"  # Ray's logs

# Of a trial, in ``trials/0003``.
TRIALS = "trials"
BEST = "best.pt"
LAST = "last.pt"
HYPOTHESES = "hypotheses.parquet"  # on dev, of the epoch with the best WER
TRIAL_LOG = "trial.log"
HANG = "hang.log"  # where its process stood that was ended because nothing came of it
LOADED = "pretrained.json"  # what arrived from pretrained weights

# Of a confirmation, whose sweeps lie in folders of their own below.
CONFIRM = "confirm"
PLAN = "plan.json"
UTTERANCES = "utterances.parquet"
SUMMARY = "confirmation.json"

# On object storage alone. Each event is an object, ``record/00000012.json``, and stays one: that it is there keeps a
# second driver out. For readers a thousand are copied into one, ``thousands/00000000-00000999.json``.
EVENTS = "record"
THOUSANDS = "thousands"
ORIGIN = "origin.json"  # in a copy on this machine: where it is from


# What a sweep cannot go on without.
_PRECIOUS = {RECORD, SWEEP, MANIFEST, LOCK, OWNER, STUDY, DRIVER_LOG, ORIGIN}


def check_output(path: Path | str) -> Path:
    """The path, where what a user asks for may be written there.

    Raises:
        FolderError: it is a file that a sweep goes on from.
    """
    path = Path(path)
    if path.name in _PRECIOUS and (path.parent / RECORD).exists():
        raise FolderError(f"{path}: belongs to the sweep in its folder; name another file")
    return path


def trial_name(number: int) -> str:
    """Folder of a trial below ``trials``."""
    return f"{number:04d}"
