"""What strangers may write for a name, and files that say that they hold more than they do."""

import json
import struct
import zipfile
from pathlib import Path

import numpy as np
import torch

TAG = "<img src=x onerror=alert(1)>"
SCRIPT = "</script><script>alert(1)</script>"
FORMULA = '=HYPERLINK("http://x")'
ESCAPE = "\x1b[2J\x1b]0;owned\x07"
EIGHT_BIT_ESCAPE = "\x9b2J"
TURNED = "a\u202etxt.exe"
OUTSIDE = "../../outside"
LINES = "two\nlines"
MATHS = "$\\frac{$"
NAMES = (
    *(TAG, SCRIPT, FORMULA, " @SUM(A1)", "x;=1+1", "\uff1d1+1", ESCAPE, EIGHT_BIT_ESCAPE, TURNED, OUTSIDE, LINES),
    *("| a | b", "[x](javascript:alert(1))", "\\input{/etc/passwd}", MATHS, "{{ 7*7 }}", "$(touch x)", "\ud800"),
)


def npy(shape: tuple[int, ...]) -> bytes:
    """The header of an array of floats."""
    text = f"{{'descr': '<f4', 'fortran_order': False, 'shape': {shape}, }}".encode()
    text += b" " * (-(len(text) + 11) % 64) + b"\n"
    return b"\x93NUMPY\x01\x00" + struct.pack("<H", len(text)) + text


def sparse(path: Path, head: bytes, nbytes: int) -> Path:
    """A file of that length which takes next to nothing on a disk."""
    path.write_bytes(head)
    with path.open("r+b") as file:
        file.truncate(nbytes)
    return path


def zip_bomb(path: Path, nbytes: int) -> Path:
    """An .npz whose array is a thousandth as large as it unfolds to."""
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("features.npy", npy((nbytes // 16, 4)) + bytes(nbytes))
    return path


def torch_bomb(path: Path, nbytes: int) -> Path:
    """A torch file that is compressed, as torch itself writes none."""
    whole = path.with_suffix(".whole")
    torch.save({"features": torch.zeros(nbytes // 16, 4)}, whole)
    with zipfile.ZipFile(whole) as source, zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        for name in source.namelist():
            archive.writestr(name, source.read(name))
    whole.unlink()
    return path


def deep_safetensors(path: Path) -> Path:
    """A file of weights whose own metadata are nested ten thousand times."""
    tensor = {"dtype": "F32", "shape": [1], "data_offsets": [0, 4]}
    header = json.dumps({"__metadata__": {"glosstune": "[" * 10_000 + "]" * 10_000}, "a": tensor}).encode()
    path.write_bytes(struct.pack("<Q", len(header)) + header + np.zeros(1, "<f4").tobytes())
    return path
