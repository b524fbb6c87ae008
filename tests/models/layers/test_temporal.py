"""What is kept of the kernels that a CPU compiles."""

import os
import subprocess
import sys

import pytest

# Forty lengths of one convolution, twice.
CODE = """
import torch
from glosstune.models.layers.temporal import TemporalConv
torch.set_num_threads(1)
convolution = TemporalConv(4, 4, 3)
with torch.no_grad():
    for time in (*range(8, 328, 8), *range(8, 328, 8)):
        convolution(torch.zeros(2, time, 4))
"""


@pytest.mark.parametrize(
    ("given", "least", "most"), [({}, 40, 60), ({"ONEDNN_PRIMITIVE_CACHE_CAPACITY": "5"}, 80, 200)]
)
def test_no_kernel_is_compiled_twice_unless_the_user_says_so(given: dict[str, str], least: int, most: int) -> None:
    environment = {**os.environ, "ONEDNN_VERBOSE": "profile_create", **given}
    if not given:
        environment.pop("ONEDNN_PRIMITIVE_CACHE_CAPACITY", None)
    done = subprocess.run([sys.executable, "-c", CODE], env=environment, capture_output=True, text=True, check=True)
    compiled = done.stdout.count("create:cache_miss")
    if not compiled:
        pytest.skip("this build of torch has no oneDNN")
    assert least <= compiled <= most
