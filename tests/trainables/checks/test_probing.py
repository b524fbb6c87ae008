"""What helps is named, what helps most first; what learns is left alone. Real probes: benchmarks/diagnosis.py."""

from collections.abc import Sequence

import pytest

from glosstune.trainables.checks import probing
from glosstune.trainables.checks.probing import STEPS, probe_changes
from glosstune.trainables.corpora import PackedCorpus
from glosstune.trainables.layouts.layout import DEFAULT, FileLayout
from glosstune.trainables.settings import CorpusSettings, Gains, TrialSettings, TunedSettings

SLOW, STUCK = [0.15] * STEPS, [0.0] * STEPS
CONDITIONED = CorpusSettings(gains=Gains(face=0, acceleration=0.05))


def _learned(steps: int) -> list[float]:
    return [0.0] * (steps - 1) + [0.31]


def _named(
    monkeypatch: pytest.MonkeyPatch, corpus: PackedCorpus, own: Sequence[float], helps: dict[str, list[float]]
) -> list[str]:
    """The causes named where a recipe comes to ``own``, and with a change of a setting to what ``helps`` says."""
    settings = TrialSettings(corpus=CONDITIONED, tuned=TunedSettings(learning_rate=1e-3, dropout=0.8))

    def fake(changed: TrialSettings, corpus: PackedCorpus, rival: Sequence[float] = ()) -> Sequence[float]:
        if not rival:
            return own
        rate = changed.learning_rate
        what = f"{rate:.0e}" if rate != 1e-3 else "dropout" if changed.tuned.dropout == 0.1 else "warm-up"
        return helps.get(what, own)

    monkeypatch.setattr(probing, "probe", fake)
    return [finding.cause for finding in probe_changes(settings, corpus)]


@pytest.mark.parametrize(
    ("own", "helps", "causes"),
    [
        (_learned(20), {}, []),
        (STUCK, {"1e-01": _learned(30)}, ["learning rate too low"]),
        (STUCK, {"1e-04": _learned(30), "dropout": _learned(60)}, ["learning rate too high", "dropout too high"]),
        (STUCK, {"1e-04": _learned(90), "dropout": _learned(9)}, ["dropout too high", "learning rate too high"]),
        (STUCK, {"warm-up": _learned(50)}, ["warm-up too short"]),
        (STUCK, {}, ["unknown"]),
        ([float("nan")] * STEPS, {"1e-05": _learned(50)}, ["learning rate too high"]),
        (SLOW, {"dropout": _learned(80)}, []),  # it learns as it is, and nothing makes it twice as fast
        (SLOW, {"dropout": _learned(20)}, ["dropout too high"]),
        (SLOW, {}, []),
    ],
)
def test_causes_are_what_helps(
    monkeypatch: pytest.MonkeyPatch,
    small_corpus: PackedCorpus,
    own: list[float],
    helps: dict[str, list[float]],
    causes: list[str],
) -> None:
    assert _named(monkeypatch, small_corpus, own, helps) == causes


def test_nothing_is_said_to_drown_hands_that_a_layout_does_not_have() -> None:
    values = FileLayout.of([{"block": "net", "values": 8, "velocity": True}]).layout
    plain, auto = (TrialSettings(corpus=CorpusSettings(gains=gains)) for gains in (Gains(), Gains(blocks="auto")))
    causes = [
        {change.cause for alternatives in probing._changes(settings, layout) for change in alternatives}
        for settings, layout in ((plain, DEFAULT), (plain, values), (auto, DEFAULT))
    ]
    assert causes[0] - causes[1] == {"noise drowns the hands"}
    assert causes[2] == causes[1]  # estimated gains have drowned nothing
