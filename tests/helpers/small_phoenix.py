"""The smallest folder of PHOENIX's kind."""

from pathlib import Path

import numpy as np


def random_features(frames: int = 4, width: int = 1629) -> np.ndarray:
    """Always the same ones, (time, value)."""
    return np.random.default_rng(0).uniform(0.1, 0.9, size=(frames, width)).astype(np.float32)


def write_small(root: Path) -> Path:
    """Two training utterances, one for dev, in base values."""
    for split, keys in {"train": ("one", "two"), "dev": ("three",)}.items():
        (root / split).mkdir(parents=True)
        lines = ["id|folder|signer|annotation"]
        for key in keys:
            np.savez(root / split / f"{key}.npz", features=random_features(), detection_masks=np.ones(4))
            lines.append(f"{key}|{key}/1/*.png|Signer01|MORGEN REGEN")
        (root / f"{split}.corpus.csv").write_text("\n".join(lines), encoding="utf-8")
    return root
