"""Made-up trials of other sweeps: what they come to hangs on the rate alone, best at 1e-3."""

import math

from glosstune.search.scheduler.experience.known import KnownTrial

EPOCHS = 12


def known(
    task: str = "a", rates: tuple[float, ...] = (1e-5, 1e-4, 1e-3, 1e-2), epochs: int = EPOCHS
) -> list[KnownTrial]:
    """A trial at each rate; WER falls by a factor an epoch that is largest at 1e-3."""
    trials = []
    for rate in rates:
        fall = 0.3 * math.exp(-((math.log10(rate) + 3) ** 2))
        scores = [math.exp(-fall * epoch) for epoch in range(1, epochs + 1)]
        configuration = {"strategy": "full-finetune", "learning_rate": rate, "dropout": 0.2, "warmup_epochs": 1}
        trials.append(KnownTrial(task, configuration, scores, epochs))
    return trials
