"""Which precision a GPU trains a model in more quickly: measured once, and kept."""

import copy
import hashlib
import json
import statistics
import time
from collections.abc import Callable
from contextlib import ExitStack, suppress
from pathlib import Path

import torch

from glosstune.models.recogniser import Recogniser
from glosstune.spaces.errors import FolderError
from glosstune.spaces.files.atomic import write_text
from glosstune.spaces.files.locks import Held, held
from glosstune.trainables.batches.batching import Batch
from glosstune.trainables.batches.capturing import CapturedForward
from glosstune.trainables.batches.memory import free_memory, is_out_of_memory
from glosstune.trainables.batches.precision import Precision, autocast, has_native_bf16
from glosstune.trainables.corpora.opening import default_cache
from glosstune.trainables.settings import TrialSettings

FRAMES = 208  # about those of a sentence
WARM, TIMED = 3, 7
# Half the digits for less than this is no bargain.
WORTH = 0.95


def settled_precision(
    settings: TrialSettings,
    model: Recogniser,
    device: torch.device,
    say: Callable[[str], None],
    *,
    graphs: bool = False,
) -> Precision:
    """What ``training.precision`` is on this device: for ``auto`` on a GPU, the one whose steps are quicker.

    The answer lies in the cache folder, so that all trials of a node have the same; without one it is measured again.

    Args:
        model: on the device; stays as it is.
        say: told what was measured.
        graphs: whether steps are replayed as CUDA graphs.
    """
    training = settings.training
    if training.precision != "auto" or device.type == "cpu":
        return training.precision
    if not has_native_bf16(device):
        return "fp32"
    path = (settings.corpus.cache or default_cache()) / f"precision-{_key(settings, model, device, graphs)}.json"
    if (kept := _read(path)) is not None:
        return kept
    with ExitStack() as stack:
        with suppress(OSError, Held):  # then every trial measures for itself
            path.parent.mkdir(parents=True, exist_ok=True)
            stack.enter_context(held(path.with_suffix(".lock")))
        return _read(path) or _measured(settings, model, device, say, graphs, path)


def with_precision(settings: TrialSettings, precision: Precision) -> TrialSettings:
    """The same with another ``training.precision``."""
    training = settings.training.model_copy(update={"precision": precision})
    return settings.model_copy(update={"training": training})


def _read(path: Path) -> Precision | None:
    with suppress(OSError, ValueError, KeyError, TypeError):
        kept: Precision = json.loads(path.read_text(encoding="utf-8"))["precision"]
        if kept in ("fp32", "bf16"):
            return kept
    return None


def _measured(
    settings: TrialSettings,
    model: Recogniser,
    device: torch.device,
    say: Callable[[str], None],
    graphs: bool,
    path: Path,
) -> Precision:
    precisions: tuple[Precision, ...] = ("fp32", "bf16")
    try:
        times = {precision: _step_s(settings, model, device, precision, graphs) for precision in precisions}
    except Exception as error:
        if not is_out_of_memory(error):
            raise
        return "bf16"  # which takes less; the next trial may have more room
    finally:  # a copy and its graphs hold each other
        free_memory()
    quicker: Precision = "bf16" if times["bf16"] < WORTH * times["fp32"] else "fp32"
    single, half = (f"{1000 * times[precision]:.1f} ms" for precision in ("fp32", "bf16"))
    say(f"trains in {quicker}: a step takes {single} in single precision, {half} in bfloat16")
    text = json.dumps({"precision": quicker, "step_s": times})
    with suppress(FolderError):  # then the next trial measures too
        write_text(path, text)
    return quicker


def _key(settings: TrialSettings, model: Recogniser, device: torch.device, graphs: bool) -> str:
    """Of all that the answer depends on."""
    depends = {
        "device": torch.cuda.get_device_name(device),
        "torch": torch.__version__,
        "model": settings.model.model_dump(mode="json"),
        "modalities": model.modalities,
        "batch_size": settings.training.batch_size,
        "cuda_graphs": graphs,
    }
    return hashlib.sha256(json.dumps(depends, sort_keys=True).encode()).hexdigest()[:16]


def _step_s(
    settings: TrialSettings, model: Recogniser, device: torch.device, precision: Precision, graphs: bool
) -> float:
    """Median of warm steps of a copy, forward and backward, of utterances of one length."""
    training = settings.training
    features = torch.zeros(training.batch_size, FRAMES, model.feature_width, device=device)
    lengths = torch.full((training.batch_size,), FRAMES)
    batch = Batch((features,), lengths, tuple(range(training.batch_size)))
    with torch.random.fork_rng(devices=[device]):
        trained = copy.deepcopy(model).train()
        captured = CapturedForward(trained, precision, lambda line: None) if graphs else None
        times = []
        for _ in range(WARM + TIMED):
            trained.zero_grad()
            torch.cuda.synchronize(device)
            started = time.perf_counter()
            if captured is not None:
                log_probs = captured(batch)[0]
            else:
                with autocast(device, precision):
                    log_probs = trained(features, lengths)[0]
            log_probs.square().mean().backward()  # type: ignore[no-untyped-call]  # torch has no annotation for it
            torch.cuda.synchronize(device)
            times.append(time.perf_counter() - started)
    return statistics.median(times[WARM:])
