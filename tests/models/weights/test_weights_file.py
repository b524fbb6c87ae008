"""Files of weights: what is read from each kind, what they say of themselves, and that none of them runs code."""

import json
import pickle
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import safetensors.torch
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor, nn

from glosstune.models import build_model, read_weights, write_weights
from glosstune.spaces.errors import CheckpointError, FolderError
from glosstune.trainables.corpora import PackedCorpus
from glosstune.trainables.corpora.provenance import training_recordings
from glosstune.trainables.settings import CorpusSettings, ModelSettings, TrialSettings
from glosstune.trainables.training.session import TrainingSession

TENSORS = {"stem.0.weight": torch.arange(6.0).view(1, 2, 3), "stem.0.bias": torch.tensor([0.5])}
RECORDED = {
    "model": {"kind": "teacher", "width": 0.5, "time_stride": 4, "norm": "batch"},
    "corpus": {"layout": "default", "noise_floor": 0.05, "gains": {"pose": 0.2, "face": 0.0}},
    "vocabulary": ["HAUS", "WETTER", "ÜBER"],
}


class Planted:
    """Runs when it is unpickled."""

    def __init__(self, marker: Path) -> None:
        self.marker = marker

    def __reduce__(self) -> tuple[Callable[[Path], None], tuple[Path]]:
        return Path.touch, (self.marker,)


def equal(one: dict[str, Tensor], other: dict[str, Tensor]) -> bool:
    return list(one) == list(other) and all(torch.equal(one[name], other[name]) for name in one)


@pytest.mark.parametrize("ending", [".pt", ".pth", ".pth.tar", ".ckpt"])
@pytest.mark.parametrize("key", ["", "state_dict", "model_state_dict", "model", "weights", "model_ema"])
def test_a_state_dict_is_found_wherever_checkpoints_keep_it(tmp_path: Path, ending: str, key: str) -> None:
    torch.save({key: TENSORS, "epoch": 7} if key else TENSORS, tmp_path / f"a{ending}")
    assert equal(read_weights(tmp_path / f"a{ending}").tensors, TENSORS)


def test_averaged_weights_give_way_to_those_beside_them(tmp_path: Path) -> None:
    torch.save({"ema": {name: tensor + 1 for name, tensor in TENSORS.items()}, "weights": TENSORS}, tmp_path / "a.pt")
    assert equal(read_weights(tmp_path / "a.pt").tensors, TENSORS)


@pytest.mark.parametrize("number", [np.float64(0.31), np.float32(2), np.int64(7), np.bool_(True)])
def test_numbers_of_numpy_beside_the_state_dict_are_read(tmp_path: Path, number: np.generic) -> None:
    torch.save({"state_dict": TENSORS, "best_wer": number}, tmp_path / "a.pt")
    assert equal(read_weights(tmp_path / "a.pt").tensors, TENSORS)


def test_objects_of_numpy_are_still_refused(tmp_path: Path) -> None:
    torch.save({"state_dict": TENSORS, "history": np.array([print], dtype=object)}, tmp_path / "a.pt")
    with pytest.raises(CheckpointError, match="holds more than tensors and plain data"):
        read_weights(tmp_path / "a.pt")


def test_a_settings_section_called_model_is_no_state_dict(tmp_path: Path) -> None:
    torch.save({"model": {"width": 1.0}, "weights": TENSORS}, tmp_path / "a.pt")
    assert equal(read_weights(tmp_path / "a.pt").tensors, TENSORS)


def test_the_old_torch_format_is_read(tmp_path: Path) -> None:
    torch.save(TENSORS, tmp_path / "a.pt", _use_new_zipfile_serialization=False)
    assert equal(read_weights(str(tmp_path / "a.pt")).tensors, TENSORS)


@pytest.mark.parametrize("kind", ["<f2", "<f4", ">f4", "<f8", "<i8", ">u2", "<u4", "?"])
def test_arrays_of_any_number_are_read_from_npz(tmp_path: Path, kind: str) -> None:
    np.savez(tmp_path / "a.npz", **{"RGB/x/w:0": np.array([[0, 1]], dtype=kind), "names": np.array(["a"])})
    tensors = read_weights(tmp_path / "a.npz").tensors
    assert equal({name: tensor.float() for name, tensor in tensors.items()}, {"RGB/x/w:0": torch.tensor([[0.0, 1.0]])})


def test_what_is_written_is_read_back(tmp_path: Path) -> None:
    state = build_model("student", 4, width=0.25, norm="batch").state_dict()
    write_weights(tmp_path / "new" / "a.safetensors", state, RECORDED)
    file = read_weights(tmp_path / "new" / "a.safetensors")
    assert equal(dict(sorted(file.tensors.items())), dict(sorted(state.items())))
    assert file.recorded == RECORDED
    assert [path.name for path in (tmp_path / "new").iterdir()] == ["a.safetensors"]


def test_tensors_that_share_memory_are_written(tmp_path: Path) -> None:
    shared = torch.arange(6.0)
    write_weights(tmp_path / "a.safetensors", {"a": shared, "b": shared.view(2, 3).T}, {})
    assert torch.equal(read_weights(tmp_path / "a.safetensors").tensors["b"], shared.view(2, 3).T)


def test_a_failed_write_leaves_the_file_as_it_was(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write_weights(tmp_path / "a.safetensors", TENSORS, {})

    def full(path: Path, data: bytes) -> int:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(Path, "write_bytes", full)
    with pytest.raises(FolderError, match=r"a\.safetensors: cannot be written: no space left"):
        write_weights(tmp_path / "a.safetensors", {"b": torch.ones(1)}, {})
    assert equal(read_weights(tmp_path / "a.safetensors").tensors, dict(sorted(TENSORS.items())))
    assert len(list(tmp_path.iterdir())) == 1


def test_safetensors_of_others_record_nothing(tmp_path: Path) -> None:
    safetensors.torch.save_file(TENSORS, tmp_path / "a.safetensors", {"format": "pt"})
    assert read_weights(tmp_path / "a.safetensors").recorded == {}


def test_a_trial_says_what_it_was_trained_with(
    tmp_path: Path, small_corpus: PackedCorpus, small_settings: CorpusSettings
) -> None:
    settings = TrialSettings(
        model=ModelSettings(kind="teacher", width=0.25, time_stride=2, norm="batch"),
        corpus=small_settings.model_copy(update={"noise_floor": 0.1}),
    )
    session = TrainingSession(settings, small_corpus, device=torch.device("cpu"))
    session.save(tmp_path / "best.pt")
    file = read_weights(tmp_path / "best.pt")
    assert equal(file.tensors, session.model.state_dict())
    assert file.recorded == {
        "model": {"kind": "teacher", "width": 0.25, "time_stride": 2, "norm": "batch"},
        "corpus": {
            "kind": "fingerspelling",
            "split": "multi-signer",
            "fold": 1,
            "signers": list(small_settings.signers or ()),
            "split_seed": 0,
            "sentences": 24,
            "layout": "default",
            "not_seen": "zeros+nan",
            "hands": "as-stored",
            "frame_step": 1,
            "noise_floor": 0.1,
            "gains": settings.corpus.gains.model_dump(),
        },
        "layout": small_corpus.layout.recorded,
        "vocabulary": list(small_corpus.vocabulary.glosses),
        "recordings": training_recordings(small_corpus),
    }
    assert json.loads(json.dumps(file.recorded)) == file.recorded


@pytest.mark.parametrize("key", ["config", "args", "hparams", "settings"])
@pytest.mark.parametrize(
    ("settings", "expected"),
    [
        (
            {"feature_layout": "split-hands", "normalization": "bn", "stride": 16, "lr": 1e-4},
            {"model": {"time_stride": 16, "norm": "bn"}, "corpus": {"layout": "split-hands"}},
        ),
        (
            {"layout": ("face", "pose"), "norm": None, "noise_floor": float("nan"), "width": 224},
            {"corpus": {"layout": ["face", "pose"]}},
        ),
        ({"model": {"width": 0.5, "stride": 4}, "corpus": "phoenix"}, {"model": {"width": 0.5, "time_stride": 4}}),
        ({"norm": torch.ones(2), "gains": {3: 1}}, {}),
    ],
)
def test_settings_of_others_are_read_where_their_names_are_plain(
    tmp_path: Path, key: str, settings: dict[str, object], expected: dict[str, object]
) -> None:
    torch.save({"state_dict": TENSORS, key: settings, "vocabulary": {"a": 1}}, tmp_path / "a.pt")
    assert read_weights(tmp_path / "a.pt").recorded == expected


@pytest.mark.parametrize("ending", [".pt", ".pth.tar"])
@pytest.mark.parametrize("form", ["torch", "old torch", "pickle 2", "pickle 4"])
def test_a_planted_pickle_is_refused_and_never_runs(tmp_path: Path, ending: str, form: str) -> None:
    marker, path = tmp_path / "ran", tmp_path / f"a{ending}"
    planted = {"state_dict": TENSORS, "note": Planted(marker)}
    if form.startswith("pickle"):
        path.write_bytes(pickle.dumps(planted, protocol=int(form[-1])))
    else:
        torch.save(planted, path, _use_new_zipfile_serialization=form == "torch")
    with pytest.raises(
        CheckpointError, match=r"run code, so it was refused and nothing ran; .*save the state dict alone"
    ):
        read_weights(path)
    assert not marker.exists()


def test_a_pickle_planted_in_npz_is_refused_and_never_runs(tmp_path: Path) -> None:
    marker, path = tmp_path / "ran", tmp_path / "a.npz"
    np.savez(path, good=np.ones(2), bad=np.array([Planted(marker)], dtype=object))
    with pytest.raises(CheckpointError, match=r"a\.npz: bad: holds Python objects: .*refused and nothing ran"):
        read_weights(path)
    path.write_bytes(pickle.dumps(Planted(marker)))
    with pytest.raises(CheckpointError, match=r"a\.npz: is damaged or no npz file"):
        read_weights(path)
    assert not marker.exists()


def test_a_whole_module_is_refused_by_name(tmp_path: Path) -> None:
    torch.save(nn.Linear(2, 2), tmp_path / "a.pt")
    with pytest.raises(
        CheckpointError, match=r"a\.pt: holds more than tensors .*\(torch\.nn\.modules\.linear\.Linear\)"
    ):
        read_weights(tmp_path / "a.pt")


@pytest.mark.filterwarnings("ignore:.torch.jit")  # its kind of warning differs between releases
def test_a_program_of_torch_is_refused(tmp_path: Path) -> None:
    traced = torch.jit.trace(nn.Linear(2, 2), torch.ones(1, 2))  # type: ignore[no-untyped-call]  # torch leaves it bare
    traced.save(str(tmp_path / "a.pt"))
    with pytest.raises(CheckpointError, match="would run code"):
        read_weights(tmp_path / "a.pt")


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("a.pt", None, r"a\.pt: no such file"),
        ("a.bin", b"x", r"unknown ending; .* \.pt, \.pth, \.pth\.tar, \.ckpt, \.safetensors and \.npz"),
        ("a.tar", b"x", "unknown ending"),
        ("a.pt", b"", "damaged or no torch file; copy or download it again"),
        ("a.pt", b"<html>404</html>", "damaged or no torch file"),
        ("a.pth", b"version https://git-lfs", "damaged or no torch file"),
        ("a.npz", b"", "damaged or no npz file"),
        ("a.safetensors", b"", "damaged or no safetensors file"),
        ("a.safetensors", b"\x02\0\0\0\0\0\0\0{}", "holds no tensors"),
    ],
)
def test_what_is_no_file_of_weights_is_named_with_the_way_out(
    tmp_path: Path, name: str, content: bytes | None, message: str
) -> None:
    if content is not None:
        (tmp_path / name).write_bytes(content)
    with pytest.raises(CheckpointError, match=message):
        read_weights(tmp_path / name)


def test_a_folder_is_no_file_of_weights(tmp_path: Path) -> None:
    with pytest.raises(CheckpointError, match="is a folder"):
        read_weights(tmp_path)


@pytest.mark.parametrize(
    ("checkpoint", "message"),
    [
        ({}, "holds no tensors"),
        ({"epoch": 3, "config": {}}, r"holds no tensors, .* its keys are epoch, config; save the state dict alone"),
        ([torch.ones(2)], "holds no state dict but 'list'"),
        (torch.ones(2), "holds no state dict but 'Tensor'"),
        ({3: torch.ones(2)}, "holds no tensors"),
        ({"a": torch.ones(2).to_sparse()}, "a: is sparse, quantised or complex"),
        ({"a": torch.ones(2, dtype=torch.complex64)}, "a: is sparse, quantised or complex"),
        ({"a": torch.ones(2), "b": torch.tensor([1.0, torch.nan])}, r"b: 1 of 2 values are NaN or infinite"),
        ({"module.b": torch.tensor([[-torch.inf]])}, r"module\.b: 1 of 1 values are NaN or infinite"),
        ({"a": torch.tensor([1e300], dtype=torch.float64)}, r"a: 1 of 1 values are NaN or infinite"),
    ],
)
def test_a_torch_file_without_usable_tensors_is_refused(tmp_path: Path, checkpoint: object, message: str) -> None:
    torch.save(checkpoint, tmp_path / "a.pt")
    with pytest.raises(CheckpointError, match=rf"a\.pt: {message}"):
        read_weights(tmp_path / "a.pt")


def test_broken_metadata_is_refused(tmp_path: Path) -> None:
    for text in ("{", "[1]"):
        safetensors.torch.save_file(TENSORS, tmp_path / "a.safetensors", {"glosstune": text})
        with pytest.raises(CheckpointError, match=r"a\.safetensors: "):
            read_weights(tmp_path / "a.safetensors")


@pytest.fixture(scope="module")
def whole_files(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """One good file of each kind, each in a folder of its own."""
    files = {kind: tmp_path_factory.mktemp(kind) / f"a.{kind}" for kind in ("pt", "pth", "npz", "safetensors")}
    torch.save({"state_dict": TENSORS, "config": {"norm": "batch"}}, files["pt"])
    torch.save(TENSORS, files["pth"], _use_new_zipfile_serialization=False)
    np.savez(files["npz"], **{name: tensor.numpy() for name, tensor in TENSORS.items()})
    write_weights(files["safetensors"], TENSORS, RECORDED)
    return files


@pytest.mark.parametrize("kind", ["pt", "pth", "npz", "safetensors"])
@given(share=st.floats(0, 1, exclude_max=True))
def test_a_file_cut_anywhere_is_called_damaged(whole_files: dict[str, Path], kind: str, share: float) -> None:
    content = whole_files[kind].read_bytes()
    cut = whole_files[kind].with_name(f"cut.{kind}")
    cut.write_bytes(content[: int(share * len(content))])
    with pytest.raises(CheckpointError, match=rf"cut\.{kind}: "):
        read_weights(cut)


@pytest.mark.parametrize("kind", ["pt", "pth", "npz", "safetensors"])
@given(share=st.floats(0, 1, exclude_max=True), byte=st.integers(0, 255))
def test_a_changed_byte_raises_nothing_else(whole_files: dict[str, Path], kind: str, share: float, byte: int) -> None:
    content = bytearray(whole_files[kind].read_bytes())
    content[int(share * len(content))] = byte
    changed = whole_files[kind].with_name(f"changed.{kind}")
    changed.write_bytes(content)
    try:
        read_weights(changed)
    except CheckpointError as error:
        assert f"changed.{kind}: " in str(error)


@pytest.mark.parametrize("kept", [10, 100, 1000, 5000, 20_000])
def test_a_torch_file_cut_anywhere_is_called_damaged(tmp_path: Path, kept: int) -> None:
    path = tmp_path / "cut.pt"
    torch.save({f"layer_{place}.weight": torch.ones(400) for place in range(20)}, path)
    path.write_bytes(path.read_bytes()[:kept])
    with pytest.raises(CheckpointError, match=r"cut\.pt: is damaged or no torch file; copy or download it again"):
        read_weights(path)
