"""Say what ran: versions, commit, data, machine, so that it can be repeated."""

import hashlib
import platform
import subprocess
import sys
from collections.abc import Mapping
from datetime import UTC, datetime
from importlib import metadata
from pathlib import Path
from typing import TYPE_CHECKING, Any

from glosstune.results.reading.names import MANIFEST
from glosstune.search.config.sections import AUTO
from glosstune.search.config.sweep import Sweep
from glosstune.spaces.errors import CheckpointError, CorpusError, FolderError
from glosstune.spaces.files.atomic import file_hash
from glosstune.spaces.files.bounded import parse_json, read_text
from glosstune.spaces.files.machine import usable_cpus
from glosstune.trainables.corpora.utterance import SPLITS, Split
from glosstune.trainables.settings import CorpusSettings, Gains

if TYPE_CHECKING:
    from glosstune.trainables.corpora import PackedCorpus

PACKAGES = (
    "glosstune",
    "torch",
    "ray",
    "optuna",
    "jiwer",
    "rapidfuzz",
    "numpy",
    "pandas",
    "pyarrow",
    "pydantic",
    "spoken-to-signed",
)


def build_manifest(
    corpus: "PackedCorpus",
    floors: Mapping[Split, float],
    command: list[str],
    pretrained: Mapping[str, Any] | None = None,
    teacher: Mapping[str, Any] | None = None,
    gains: Gains | None = None,
) -> dict[str, Any]:
    """Everything but the sweep itself, which lies beside it as ``sweep.yaml``; JSON-able, no secret.

    Args:
        gains: in numbers, also where the sweep says ``auto``.
    """
    import torch  # takes seconds, which whoever only sends a sweep need not wait

    return {
        "started": datetime.now(UTC).isoformat(timespec="seconds"),
        "command": command,
        "python": sys.version.split()[0],
        "versions": {name: version for name in PACKAGES if (version := _version(name)) is not None},
        "commit": _commit(),
        "corpus": {
            "key": corpus.key,
            "folder": str(corpus.folder),
            "scoring": corpus.scoring,
            "utterances": {split: len(corpus.rows(split)) for split in SPLITS},
            "ctc_floor": dict(floors),
            "vocabulary_size": len(corpus.vocabulary),
            "vocabulary_sha256": hashlib.sha256("\n".join(corpus.vocabulary.glosses).encode()).hexdigest(),
        },
        "pretrained": pretrained,
        "teacher": teacher,
        "gains": None if gains is None else gains.model_dump(mode="json"),
        "machine": {
            "platform": platform.platform(),
            "processor": platform.processor() or platform.machine(),
            "cpus": usable_cpus(),
            "gpus": [torch.cuda.get_device_name(index) for index in range(torch.cuda.device_count())],
        },
    }


def read_manifest(folder: Path) -> dict[str, Any]:
    """What ``build_manifest`` gave when the sweep in a folder began.

    Raises:
        FolderError: it is missing or is none.
    """
    path = folder / MANIFEST
    try:
        manifest = parse_json(read_text(path))
        _ = manifest["corpus"]["key"], manifest["corpus"]["scoring"]
        _ = [known["sha256"] for key in ("pretrained", "teacher") if (known := manifest[key]) is not None]
        _ = manifest["versions"].items(), manifest["machine"]
        Gains.model_validate(manifest["gains"])
    except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
        rule = f"cannot be read as the manifest of a sweep ({error}); without it nobody can tell that trials compare"
        raise FolderError(f"{path}: {rule}; start another sweep with search.warm_start=[{folder}]") from error
    return dict(manifest)


def check_corpus(place: str, manifest: Mapping[str, Any], corpus: "PackedCorpus", settings: CorpusSettings) -> None:
    """Require that a corpus holds what the one held that a sweep began with, wherever it lies, and is scored alike.

    Raises:
        CorpusError: it holds something else, or is scored by another rule.
    """
    began = manifest["corpus"]
    if began["key"] == corpus.key:
        if began["scoring"] != corpus.scoring:
            rule = f"is scored by {corpus.scoring} now, and the sweep began with {began['scoring']}"
            raise CorpusError(f"{place}: {rule}, so trials would not compare; set corpus.scoring={began['scoring']}")
        return
    now = {split: len(corpus.rows(split)) for split in SPLITS}
    ours, theirs = (
        f"{key}, {', '.join(f'{count} {split}' for split, count in counts.items())}"
        for key, counts in ((corpus.key, now), (began["key"], began.get("utterances", {})))
    )
    rule = f"the corpus in {settings.root}" if settings.root is not None else f"the corpus {settings.kind}"
    rule += f" ({ours}) is not the one that the sweep began with ({theirs}), so trials would not compare"
    where = "say where that one lies with corpus.root=FOLDER, or " if settings.root is not None else ""
    raise CorpusError(f"{place}: {rule}; {where}start another sweep, with search.warm_start=[{place}]")


def check_same(manifest: Mapping[str, Any], sweep: Sweep, hashes: Mapping[str, str] | None = None) -> None:
    """Require the weights and the teacher that a sweep began with, wherever they lie.

    Weights that it is yet to make are left alone.

    Args:
        hashes: of files that were read already, by their keys.

    Raises:
        CheckpointError: they are others.
    """
    weights = None if sweep.pretrained is None else Path(sweep.pretrained)
    for key, path, what in (
        ("pretrained", weights, "are not the weights"),
        ("teacher", sweep.teacher, "is not the teacher"),
    ):
        known = (manifest[key] or {}).get("sha256")
        if sweep.pretrained == AUTO and key == "pretrained":
            continue
        if known != (None if path is None else (hashes or {}).get(key) or file_hash(path)):
            rule = f"{what} that the sweep began with, so trials would not compare; say {key}=FILE where it lies now"
            raise CheckpointError(f"{key}: {path}: {rule}")


def _version(package: str) -> str | None:
    try:
        return metadata.version(package)
    except metadata.PackageNotFoundError:
        return None


def _commit() -> str | None:
    """Commit of the checkout that this package runs from; None for an installed copy or without git."""
    folder = Path(__file__).resolve().parent
    # A copy installed below somebody else's checkout is not tracked there, and their commit says nothing of ours.
    if _git(folder, "ls-files", "--error-unmatch", Path(__file__).name) is None:
        return None
    return _git(folder, "describe", "--always", "--dirty", "--abbrev=40")


def _git(folder: Path, *arguments: str) -> str | None:
    try:
        answer = subprocess.run(
            ["git", "-C", str(folder), *arguments], capture_output=True, text=True, timeout=10, check=False
        )
    except (OSError, subprocess.TimeoutExpired):
        return None
    return answer.stdout.strip() if answer.returncode == 0 else None
