"""From the values of a file to what is packed, or to an error that names file, frame and way out."""

import numpy as np
import numpy.typing as npt
import pytest
from feature_folder import Values, in_order, write_folder
from other_extractors import coco_wholebody, hands

from glosstune.spaces.errors import CorpusError, SettingError
from glosstune.trainables.corpora import FingerspellingCorpus, PhoenixCorpus, pack_corpus
from glosstune.trainables.layouts.layout import FileLayout
from glosstune.trainables.layouts.reading import describe_fit, stored_values
from glosstune.trainables.settings import CorpusSettings

VIDEO = [{"block": "video", "values": 3}]
HANDS_AND_VIDEO = FileLayout.of([*VIDEO, *FileLayout.of("hands-2d").written])


def _raw(width: int, frames: int = 5) -> npt.NDArray[np.float32]:
    return np.random.default_rng(0).uniform(0.2, 0.8, (frames, width)).astype(np.float32)


def test_values_keep_their_numbers_and_landmarks_do_not() -> None:
    raw = _raw(87)
    stored = stored_values(raw, HANDS_AND_VIDEO, "a.npy")
    assert np.array_equal(stored[:, 84:], raw[:, :3]) and not np.allclose(stored[:, :84], raw[:, 3:])
    assert np.array_equal(raw, _raw(87))  # the caller's stays as it is


def test_hands_that_are_followed_are_packed_as_if_they_had_been_stored_in_order() -> None:
    ordered = _raw(84, 30).cumsum(axis=0) / 30
    ordered[:, 0::2] += np.repeat([1.0, 0.0], 21)  # the left hand lies to the right
    ordered[10:15, :42] = np.nan
    stored = ordered.copy()
    stored[10:15, :42] = ordered[10:15, 42:]  # where the other one is lost, one stands in both places
    stored[::2] = np.roll(stored[::2], 42, axis=1)
    followed = stored_values(stored, FileLayout.of("hands-2d", "followed"), "a")
    assert np.array_equal(followed, stored_values(ordered, FileLayout.of("hands-2d"), "a"))
    assert not np.allclose(followed, stored_values(stored, FileLayout.of("hands-2d"), "a"))


@pytest.mark.parametrize("step", [2, 3])
def test_every_nth_frame_is_packed_of_what_was_bridged_in_all(step: int) -> None:
    raw = _raw(87, 11)
    raw[4:7] = np.nan
    spec = HANDS_AND_VIDEO.written
    found = stored_values(raw, FileLayout.of(spec, frame_step=step), "a")
    assert np.array_equal(found, stored_values(raw, FileLayout.of(spec), "a")[::step])


def test_ready_features_need_every_frame() -> None:
    with pytest.raises(SettingError, match=r"corpus\.frame_step: must be 1 for ready features"):
        FileLayout.of("default", frame_step=2)


def test_nan_among_values_is_bridged_and_a_value_that_is_never_there_is_zero() -> None:
    raw = np.array([[1, np.nan, 5], [np.nan, np.nan, np.nan], [3, np.nan, np.nan]], np.float32)
    stored = stored_values(raw, FileLayout.of(VIDEO), "a.npy")
    assert stored.tolist() == [[1, 0, 5], [2, 0, 5], [3, 0, 5]]


def test_zeros_among_values_are_numbers() -> None:
    raw = np.array([[1, 0, 0], [0, 0, 5]], np.float32)
    assert np.array_equal(stored_values(raw, FileLayout.of(VIDEO), "a.npy"), raw)


def test_ready_features_keep_their_numbers() -> None:
    raw = _raw(6516)
    raw[:, 40] = 0
    assert np.array_equal(stored_values(raw, FileLayout.of("default"), "a.npy"), raw)


@pytest.mark.parametrize("kind", [np.float16, np.float32, np.float64])
def test_files_of_any_precision_are_read(kind: type[np.floating]) -> None:
    raw = _raw(87)
    found = stored_values(raw.astype(kind), HANDS_AND_VIDEO, "a.npy")
    assert found.dtype == np.float32
    assert np.allclose(found, stored_values(raw, HANDS_AND_VIDEO, "a.npy"), atol=0.02)


def test_pixels_and_shares_of_a_picture_are_packed_alike() -> None:
    layout = FileLayout.of("coco-wholebody")
    raw = _raw(266)
    assert np.allclose(stored_values(raw * 1080, layout, "a"), stored_values(raw, layout, "a"), atol=1e-4)


@pytest.mark.parametrize(
    ("place", "value", "not_seen", "told"),
    [
        ((2, 1), np.inf, "zeros+nan", "a.npy: infinity at frame 2, value 1; repair or remove the file"),
        ((2, 50), -np.inf, "zeros", "a.npy: infinity at frame 2, value 50; repair or remove the file"),
        ((4, 0), np.nan, "zeros", r"a.npy: NaN at frame 4, value 0; corpus.not_seen=zeros\+nan takes NaN for what was"),
        ((1, 2), 7e4, "zeros+nan", r"a.npy: frame 1, value 2: lies beyond half precision \(65504\), in which"),
        ((3, 60), 1e30, "zeros+nan", r"a.npy: frame 3, value 60: lies beyond half precision \(65504\), in which"),
        ((3, 60), 1e39, "nan", "a.npy: "),
    ],
)
def test_what_is_no_number_names_frame_and_column_of_the_file(
    place: tuple[int, int], value: float, not_seen: str, told: str
) -> None:
    raw = _raw(87).astype(np.float64)
    raw[place] = value
    with pytest.raises(CorpusError, match=told):
        stored_values(raw, HANDS_AND_VIDEO, "a.npy", not_seen)  # type: ignore[arg-type]  # one of the three


def test_another_width_names_both_and_the_layouts_that_have_it() -> None:
    with pytest.raises(CorpusError) as refused:
        stored_values(_raw(126), FileLayout.of("hands-2d"), "a.npy")
    told = "a.npy: 126 values a frame, but corpus.layout ['left_hand', 'right_hand'] has 84; that width fits hands-3d"
    assert str(refused.value) == told
    assert (
        describe_fit(7)
        == "no named layout has that width (glosstune inspect --layouts lists them); list the blocks that files have"
    )


@pytest.fixture(scope="module")
def corpus() -> FingerspellingCorpus:
    return FingerspellingCorpus("multi-signer", signers=("ase", "gsg"), sentences=12)


def test_another_order_of_the_same_width_is_refused_before_anything_is_packed(
    corpus: FingerspellingCorpus, tmp_path_factory: pytest.TempPathFactory
) -> None:
    folder = tmp_path_factory.mktemp("files")

    def refused(name: str, layout: str, change: object) -> str:
        root = write_folder(folder / name, corpus, change=change)  # type: ignore[arg-type]  # of values, to values
        settings = CorpusSettings(kind="phoenix", root=root, layout=layout, cache=folder / "cache")
        with pytest.raises(CorpusError) as found:
            pack_corpus(settings)
        return str(found.value)

    order = ("left_hand", "face", "pose", "right_hand")
    told = refused("a", "base", lambda values: in_order(values, order))
    assert "blocks in another order than corpus.layout ['pose', 'left_hand', 'right_hand', 'face']" in told
    assert "as 'corpus.layout=[left_hand, face, pose, right_hand]'; set it" in told and "\n" not in told

    told = refused("c", "base", lambda values: in_order(values, "face-first-543"))
    assert "as corpus.layout=face-first-543; set it" in told

    def face_first(values: Values) -> Values:
        points = coco_wholebody(values)
        return np.concatenate([points[:, 46:182], points[:, :46], points[:, 182:]], axis=1)

    assert "as 'corpus.layout=[{block: face, points: 68, dims: 2}, {block: pose" in refused(
        "b", "coco-wholebody", face_first
    )
    assert not list((folder / "cache").glob("phoenix-*/"))


def test_sound_files_and_hands_alone_are_packed(
    corpus: FingerspellingCorpus, tmp_path_factory: pytest.TempPathFactory
) -> None:
    folder = tmp_path_factory.mktemp("files")
    for layout, change in (("base", lambda values: values), ("coco-wholebody", coco_wholebody), ("hands-2d", hands)):
        root = write_folder(folder / layout, corpus, change=change)
        packed = pack_corpus(CorpusSettings(kind="phoenix", root=root, layout=layout, cache=folder / "cache"))
        assert packed.layout == PhoenixCorpus(root, layout=layout).layout == FileLayout.of(layout).layout
        assert packed.width == packed.layout.base_width


def test_positions_in_another_place_and_size_are_packed_as_they_were(corpus: FingerspellingCorpus) -> None:
    layout = FileLayout.of("base")
    values = next(iter(corpus.read()))
    once = stored_values(values, layout, "a")
    assert np.allclose(stored_values(values * 0.2 + 0.5, layout, "a")[:, 162:], once[:, 162:], atol=1e-3)
    assert np.allclose(stored_values(once, layout, "a"), once, atol=1e-4)
