"""The package is one flat list of names and needs no heavy library."""

import subprocess
import sys

import glosstune.spaces as spaces


def test_public_names_are_complete():
    assert set(spaces.__all__) == {
        "STRATEGIES",
        "CheckpointError",
        "Choice",
        "CorpusError",
        "Float",
        "FolderError",
        "GlosstuneError",
        "Int",
        "SettingError",
        "Space",
        "Strategy",
    }
    assert all(hasattr(spaces, name) for name in spaces.__all__)


def test_spaces_need_no_heavy_library():
    heavy = "{'ray', 'torch', 'optuna', 'pydantic', 'numpy', 'pandas', 'yaml'}"
    code = f"import sys, glosstune.spaces; sys.exit(', '.join({heavy} & set(sys.modules)) or 0)"
    ended = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert (ended.returncode, ended.stderr) == (0, "")
