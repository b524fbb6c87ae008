"""A training step does not come to ask a GPU for more than it does, which a CPU can count."""

from collections.abc import Callable
from pathlib import Path
from types import ModuleType

# At most a third of what they were before normalisation was fused; see docs/gpus.md.
MOST = {
    "teacher, group normalisation, fp32": 589,
    "teacher, group normalisation, bf16": 625,
    "teacher, batch normalisation, fp32": 534,
    "teacher, batch normalisation, bf16": 570,
    "student, group normalisation, fp32": 588,
    "student, group normalisation, bf16": 698,
    "student, batch normalisation, fp32": 553,
    "student, batch normalisation, bf16": 663,
    "teacher, nothing padded": 571,
    "teacher, kept activations until mixed_4f": 227,
    "student, taught": 625,
}


def test_a_step_asks_for_no_more_kernels(benchmark_module: Callable[[str], ModuleType], tmp_path: Path) -> None:
    launches = benchmark_module("launches")
    found = {
        name: sum(launches.count(session).kernels[part].total() for part in launches.PARTS[:3])
        for name, session in launches.cases(tmp_path)
    }
    assert found.keys() == MOST.keys()
    assert {name: count for name, count in found.items() if count > MOST[name]} == {}
