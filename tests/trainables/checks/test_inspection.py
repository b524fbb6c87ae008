"""Each fault that is planted in a folder of real signing is named, and a sound folder is not accused."""

import json
import shlex
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from feature_folder import Glosses, Values, in_order, with_temporal, write_folder
from other_extractors import coco_wholebody, hands

from glosstune.results.report.inspection_picture import draw_inspection
from glosstune.spaces.errors import CorpusError, SettingError
from glosstune.spaces.files.yaml_data import parse_yaml
from glosstune.trainables.checks.findings import Inspection
from glosstune.trainables.checks.inspection import inspect_corpus
from glosstune.trainables.corpora import FingerspellingCorpus, PhoenixCorpus
from glosstune.trainables.corpora.store import pack
from glosstune.trainables.layouts.blocks import names_of
from glosstune.trainables.layouts.following import tell_twice
from glosstune.trainables.settings import CorpusSettings, Gains

CONDITIONED = Gains(pose=0.2, face=0, velocity=0.2, acceleration=0.05)
PARTS = ("pose", "left_hand", "right_hand", "face")


@pytest.fixture(scope="module")
def corpus() -> FingerspellingCorpus:
    return FingerspellingCorpus("multi-signer", signers=("ase", "gsg", "psr"), sentences=48)


def _inspect(root: Path, stride: int = 4, **settings: object) -> Inspection:
    known = {"kind": "phoenix", "root": root, "layout": "base", "gains": CONDITIONED}
    return inspect_corpus(CorpusSettings.model_validate(known | settings), stride, sample=60)


def _causes(found: Inspection) -> list[str]:
    told = [finding.cause for finding in found.findings if finding.accuses]
    return [cause for cause in told if cause != "too few utterances"]


def _unknown(found: Inspection) -> dict[str, str]:
    """What cannot be told, and why."""
    return {finding.cause: finding.evidence for finding in found.findings if not finding.accuses}


def _same(values: Values) -> Values:
    return values


def test_a_sound_folder_is_only_small(corpus: FingerspellingCorpus, tmp_path: Path) -> None:
    found = _inspect(write_folder(tmp_path / "a", corpus, change=_same))
    assert [finding.cause for finding in found.findings if finding.accuses] == ["too few utterances"]
    assert all(finding.rests_on for finding in found.findings)
    assert found.rows["train"] == 48 and not found.missing and not found.broken
    assert found.glosses["vocabulary"] == 26
    assert found.scoring["rule"] == "phoenix2014" and found.scoring["raw by"] is None
    assert found.frames["correlation with glosses"] > 0.6
    assert found.ctc[4]["infeasible"] == 0 < found.ctc[16]["infeasible"]
    told = {(block["channel"], block["part"]): block["explained"] - block["by chance"] for block in found.blocks}
    assert max(told, key=lambda name: told[name]) == ("shape", "hands")  # which is where letters are
    assert sum(block["share of input"] for block in found.blocks) == pytest.approx(1)


def _as_phoenix(glosses: Glosses) -> Glosses:
    """Training raw, dev as it is, but for a gloss that training has in its raw form alone."""
    if len(glosses) < 40:
        return glosses
    raw = {"A": "loc-A", "E": "E-PLUSPLUS", "N": "cl-N"}
    return [("__PU__", *(raw.get(gloss, gloss) for gloss in own)) for own in glosses]


@pytest.mark.slow
def test_training_that_is_raw_where_dev_is_clean_is_told(corpus: FingerspellingCorpus, tmp_path: Path) -> None:
    root = write_folder(tmp_path / "a", corpus, change=_same, relabel=_as_phoenix)
    found = _inspect(root)
    scoring = found.scoring
    assert (scoring["rule"], scoring["raw by"]) == ("phoenix2014", "phoenix2014")
    assert 0.2 < scoring["changed"] < scoring["floor"] < 0.6
    assert found.glosses["unknown in dev"] == 0 and not _causes(found)  # A is reached by loc-A
    plain = _inspect(root, scoring="plain")
    assert plain.glosses["unknown in dev"] > 0.1
    mends = {finding.cause: finding.mend for finding in plain.findings}
    assert mends["two conventions"] == "corpus.scoring=phoenix2014"
    assert _inspect(root, targets="clean").scoring["raw by"] is None


def _shuffled(glosses: Glosses) -> Glosses:
    return [glosses[place] for place in np.random.default_rng(0).permutation(len(glosses))]


def _standardised(values: Values) -> Values:
    return np.asarray((values - values.mean(0)) / (values.std(0) + 1e-6), np.float32)


def _without_hands(values: Values) -> Values:
    return np.concatenate([values[:, :99], np.zeros_like(values[:, 99:225]), values[:, 225:]], axis=1)


@pytest.mark.parametrize(
    ("cause", "change", "mend"),
    [
        ("blocks in the wrong order", lambda v: in_order(v, ("pose", "face", "left_hand", "right_hand")), "pose, face"),
        ("normalised twice", _standardised, "as MediaPipe writes them"),
        ("hands missing", _without_hands, "detection confidence"),
        ("no features", np.zeros_like, "constants"),
    ],
)
def test_a_fault_of_the_values_is_named_first(
    corpus: FingerspellingCorpus, tmp_path: Path, cause: str, change: Callable[[Values], Values], mend: str
) -> None:
    found = _inspect(write_folder(tmp_path / "a", corpus, change=change))
    assert _causes(found)[0] == cause
    assert mend in found.findings[0].mend


def test_labels_of_other_files_are_noticed(corpus: FingerspellingCorpus, tmp_path: Path) -> None:
    assert _causes(_inspect(write_folder(tmp_path / "a", corpus, change=_same, relabel=_shuffled))) == [
        "labels shuffled"
    ]


def test_a_dev_split_in_another_case_is_noticed(corpus: FingerspellingCorpus, tmp_path: Path) -> None:
    root = write_folder(tmp_path / "a", corpus, change=_same)
    dev = root / "dev.corpus.csv"
    lines = [line.rsplit("|", 1) for line in dev.read_text().splitlines()]
    dev.write_text("\n".join([f"{lines[0][0]}|{lines[0][1]}", *(f"{a}|{b.lower()}" for a, b in lines[1:])]) + "\n")
    found = _inspect(root)
    assert _causes(found) == ["vocabulary mismatch"]
    assert found.findings[0].mend == "write both splits in the same case"


def _some_cyrillic(glosses: Glosses) -> Glosses:
    """Every second A is another letter."""
    written = []
    for place, sentence in enumerate(glosses):
        written.append(tuple(gloss.replace("A", "\u0410") if place % 2 else gloss for gloss in sentence))
    return written


def test_glosses_that_only_look_the_same_are_told_with_their_counts(
    corpus: FingerspellingCorpus, tmp_path: Path
) -> None:
    found = _inspect(write_folder(tmp_path / "a", corpus, change=_same, relabel=_some_cyrillic))
    assert _causes(found) == ["look-alike glosses"]
    (finding,) = [finding for finding in found.findings if finding.cause == "look-alike glosses"]
    assert finding.evidence.startswith("1 glosses are written in forms that look the same and are not: A (6) and ")
    assert finding.evidence.endswith("(3, with U+0410 CYRILLIC CAPITAL LETTER A)")
    assert 0.3 < finding.weight < 0.4


def test_a_stride_that_leaves_too_few_frames_names_one_that_does_not(
    corpus: FingerspellingCorpus, tmp_path: Path
) -> None:
    found = _inspect(write_folder(tmp_path / "a", corpus, change=_same), stride=16)
    assert _causes(found) == ["time stride too large"]
    (finding,) = [finding for finding in found.findings if finding.cause == "time stride too large"]
    assert finding.mend == "model.time_stride=8"


def test_files_that_are_missing_cut_or_not_finite_are_counted(corpus: FingerspellingCorpus, tmp_path: Path) -> None:
    root = write_folder(tmp_path / "a", corpus, change=_same)
    first, second, third = sorted((root / "train").glob("*.npz"))[:3]
    first.unlink()
    second.write_bytes(second.read_bytes()[:1000])
    values = np.load(third)["features"]
    values[3, 5] = np.inf
    np.savez(third, features=values)
    found = _inspect(root)
    assert found.missing == [f"train/{first.stem}"]
    assert sorted(Path(name).name for name, _ in found.broken) == sorted([second.name, third.name])
    assert set(_causes(found)) == {"missing files", "broken files"}


def test_another_width_names_the_layout_that_the_files_have(corpus: FingerspellingCorpus, tmp_path: Path) -> None:
    found = _inspect(write_folder(tmp_path / "a", corpus, change=_same), layout="default")
    assert _causes(found) == ["files of another width"]
    assert "1629 values a frame" in found.findings[0].evidence
    assert found.findings[0].mend == "corpus.layout=base"
    with pytest.raises(SettingError, match="nothing to draw"):
        draw_inspection(found.to_mapping(), tmp_path / "a.png")


def test_where_no_file_can_be_read_the_first_one_is_named(corpus: FingerspellingCorpus, tmp_path: Path) -> None:
    root = write_folder(tmp_path / "a", corpus, change=_same)
    for path in root.glob("*/*.npz"):
        path.write_bytes(b"")
    with pytest.raises(CorpusError, match=r"none of \d+ sampled files can be used: .*\.npz"):
        _inspect(root)


def test_empty_splits_and_transcripts_are_told(corpus: FingerspellingCorpus, tmp_path: Path) -> None:
    root = write_folder(tmp_path / "a", corpus, change=_same)
    (root / "dev.corpus.csv").write_text("id|folder|signer|annotation\n")
    train = root / "train.corpus.csv"
    head, first, *rest = train.read_text().splitlines()
    train.write_text("\n".join([head, first.rpartition("|")[0] + "|", *rest]) + "\n")
    told = {finding.cause: finding.evidence for finding in reversed(_inspect(root).findings)}
    assert told["empty transcripts"] == "1 utterances have no gloss"
    assert told["too few utterances"] == "the dev split is empty"
    (root / "train.corpus.csv").write_text("id|folder|signer|annotation\n")
    with pytest.raises(CorpusError, match="there is none of train and dev"):
        _inspect(root)


def test_what_is_not_known_is_null_in_json(corpus: FingerspellingCorpus, tmp_path: Path) -> None:
    found = _inspect(write_folder(tmp_path / "a", corpus, change=_standardised))
    assert found.layout["recognised"] is None
    assert json.loads(json.dumps(found.to_mapping(), allow_nan=False))["layout"]["distance"] is None


def test_files_of_all_features_declared_as_positions_get_one_order(
    corpus: FingerspellingCorpus, tmp_path: Path
) -> None:
    found = _inspect(write_folder(tmp_path / "a", corpus, change=with_temporal, keep=0.3))
    assert _causes(found) == ["files of another width"]
    assert found.findings[0].mend == "corpus.layout=default"


def test_noise_that_drowns_the_hands_is_seen_in_what_enters_the_model(
    corpus: FingerspellingCorpus, tmp_path: Path
) -> None:
    root = write_folder(tmp_path / "a", corpus, change=_same)
    assert _causes(_inspect(root, gains=Gains(hands=0.2))) == ["noise drowns the hands"]


def test_the_embedded_corpus_is_sound_and_is_drawn(tmp_path: Path) -> None:
    settings = CorpusSettings(signers=("ase", "gsg", "psr"), sentences=120, gains=CONDITIONED)
    found = inspect_corpus(settings, sample=40)
    assert not any(finding.accuses for finding in found.findings)
    draw_inspection(found.to_mapping(), tmp_path / "a.png")
    assert (tmp_path / "a.png").read_bytes().startswith(b"\x89PNG")


def test_hands_that_are_nan_are_counted_as_not_seen(corpus: FingerspellingCorpus, tmp_path: Path) -> None:
    def without_left(values: Values) -> Values:
        values = values.copy()
        values[:, 99:162] = np.nan
        values[: len(values) // 2, 162:225] = np.nan
        return values

    found = _inspect(write_folder(tmp_path / "a", corpus, change=without_left))
    assert _causes(found) == [] and not found.broken
    assert found.unseen["left_hand"] == 1 and found.unseen["right_hand"] == pytest.approx(0.5, abs=0.02)
    assert found.values["frames without hands"] == pytest.approx(0.5, abs=0.02)
    assert found.unseen["pose"] == found.unseen["face"] == 0


@pytest.mark.parametrize("missing", [0.0, np.nan])
def test_missing_hands_are_told_whatever_stands_for_them(
    corpus: FingerspellingCorpus, tmp_path: Path, missing: float
) -> None:
    def without(values: Values) -> Values:
        return np.concatenate(
            [values[:, :99], np.full((len(values), 126), missing, np.float32), values[:, 225:]], axis=1
        )

    assert _causes(_inspect(write_folder(tmp_path / "a", corpus, change=without))) == ["hands missing"]


def test_one_hand_in_both_places_is_told_with_what_mends_it(corpus: FingerspellingCorpus, tmp_path: Path) -> None:
    def lost(values: Values) -> Values:
        found = hands(values, 2)
        found[::3, :42] = found[::3, 42:]
        return found

    root = write_folder(tmp_path / "a", corpus, change=lost)
    finding = next(each for each in _inspect(root, layout="hands-2d").findings if each.cause != "too few utterances")
    assert finding.cause == "hands in any order" and "% of the frames both hands are one" in finding.evidence
    key, _, value = finding.mend.partition("=")
    mended = _inspect(root, layout="hands-2d", **{key.removeprefix("corpus."): value})
    assert _causes(mended) == [] and 0.3 < mended.unseen["left_hand"] + mended.unseen["right_hand"] < 0.4

    packed = PhoenixCorpus(root, layout="hands-2d"), PhoenixCorpus(root, layout="hands-2d", hands="followed")
    notes = [pack(each, tmp_path / "cache").notes for each in packed]
    assert notes == [tell_twice(0.34), []]


def _held_fast(values: Values) -> Values:
    """Hands in a picture, below shoulders that never move; no face."""
    padded = np.zeros_like(values)
    padded[:, 99:225] = np.where(values[:, 99:225] == 0, 0, values[:, 99:225] * 0.2 + 0.5)
    points = padded.reshape(len(values), 543, 3)
    points[:, 11], points[:, 12] = (0.6, 0.5, 0), (0.4, 0.5, 0)
    return padded


def test_of_hands_below_shoulders_that_never_move_the_order_cannot_be_told(
    corpus: FingerspellingCorpus, tmp_path: Path
) -> None:
    for name, change, layout in (
        ("a", _held_fast, "base"),
        ("b", lambda values: _held_fast(values)[:, :225], "holistic-75"),
        ("c", lambda values: with_temporal(_held_fast(values)), "default"),
    ):
        found = _inspect(write_folder(tmp_path / name, corpus, change=change), layout=layout)
        assert _causes(found) == []
        assert "pose never moves" in _unknown(found)["order of blocks"]
        assert found.still["pose"] == 1 and not any(
            block["varies"] for block in found.blocks if block["part"] == "face"
        )


def test_hands_that_never_move_are_missing(corpus: FingerspellingCorpus, tmp_path: Path) -> None:
    def still(values: Values) -> Values:
        return np.concatenate([values[:, :99], 0 * values[:, 99:225] + 0.3, values[:, 225:]], axis=1)

    (finding,) = [each for each in _inspect(write_folder(tmp_path / "a", corpus, change=still)).findings if each.stops]
    assert (finding.cause, finding.sure) == ("hands missing", "certain")


def test_values_that_change_from_file_to_file_alone_are_no_features(
    corpus: FingerspellingCorpus, tmp_path: Path
) -> None:
    root = write_folder(tmp_path / "a", corpus, change=lambda values: np.repeat(values[:1], len(values), axis=0))
    assert _causes(_inspect(root))[0] == "no features"


def test_standardised_hands_are_named_though_the_rest_is_absent(corpus: FingerspellingCorpus, tmp_path: Path) -> None:
    def right_hand(values: Values) -> Values:
        return np.concatenate([np.zeros((len(values), 63)), _standardised(values[:, 162:225])], axis=1)

    root = write_folder(tmp_path / "a", corpus, change=right_hand)
    assert _causes(_inspect(root, layout="hands-3d")) == ["normalised twice"]


def _as_long(values: Values) -> Values:
    return values[np.linspace(0, len(values) - 1, 60).round().astype(int)]


def test_transcripts_are_not_accused_where_lengths_tell_nothing_and_glosses_explain_the_signing(tmp_path: Path) -> None:
    corpus = FingerspellingCorpus("multi-signer", sentences=100)
    found = _inspect(write_folder(tmp_path / "a", corpus, change=_as_long))
    assert not np.isfinite(found.frames["correlation with glosses"]) and _unknown(found) == {}
    found = _inspect(write_folder(tmp_path / "b", corpus, change=_as_long, relabel=_shuffled))
    assert "all utterances are as long" in _unknown(found)["whether transcripts belong to their recordings"]


@pytest.mark.parametrize("dims", [2, 3])
def test_hands_alone_are_sound(corpus: FingerspellingCorpus, tmp_path: Path, dims: int) -> None:
    root = write_folder(tmp_path / "a", corpus, change=lambda values: hands(values, dims))
    found = _inspect(root, layout=f"hands-{dims}d")
    assert _causes(found) == [] and found.layout["recognised"] is None
    assert {block["part"] for block in found.blocks} == {"hands"}
    assert found.unseen.keys() == {"left_hand", "right_hand"}


def test_hands_that_are_padded_with_zeros_are_accused_of_no_order(corpus: FingerspellingCorpus, tmp_path: Path) -> None:
    def padded(values: Values) -> Values:
        return np.concatenate([0 * values[:, :99], values[:, 99:225], 0 * values[:, 225:]], axis=1)

    for name, change in (("a", padded), ("b", lambda values: with_temporal(padded(values)))):
        root = write_folder(tmp_path / name, corpus, change=change)
        layout = "base" if name == "a" else "default"
        try:
            causes = _causes(_inspect(root, layout=layout))
        except CorpusError as error:
            causes = [str(error)]
        assert "blocks in the wrong order" not in causes


def test_coco_wholebody_is_sound_and_another_order_of_it_is_told(corpus: FingerspellingCorpus, tmp_path: Path) -> None:
    sound = _inspect(write_folder(tmp_path / "a", corpus, change=coco_wholebody), layout="coco-wholebody")
    assert _causes(sound) == []

    def hands_first(values: Values) -> Values:
        points = coco_wholebody(values)
        return np.concatenate([points[:, 182:], points[:, :182]], axis=1)

    root = write_folder(tmp_path / "b", corpus, change=hands_first)
    found = _inspect(root, layout="coco-wholebody")
    assert _causes(found)[0] == "blocks in the wrong order"
    mended = parse_yaml(shlex.split(found.findings[0].mend)[0].removeprefix("corpus.layout="), "a command line")
    assert names_of(mended) == ["left_hand", "right_hand", "pose", "face"]
    assert _causes(_inspect(root, layout=mended)) == []


def test_values_that_packing_refuses_are_told(corpus: FingerspellingCorpus, tmp_path: Path) -> None:
    root = write_folder(tmp_path / "a", corpus, change=lambda values: values[:, :8] * 1e6)
    found = _inspect(root, layout=[{"block": "flow", "values": 8}], gains=Gains())
    assert _causes(found)[0] == "broken files"
    assert "lies beyond half precision (65504)" in found.findings[0].evidence


def test_values_alone_are_inspected(corpus: FingerspellingCorpus, tmp_path: Path) -> None:
    projection = np.random.default_rng(0).normal(size=(1629, 32)).astype(np.float32)
    root = write_folder(tmp_path / "a", corpus, change=lambda values: values @ projection)
    found = _inspect(root, layout=[{"block": "video", "values": 32, "velocity": True}])
    assert _causes(found) == [] and not found.unseen
    assert [(block["channel"], block["part"]) for block in found.blocks] == [("values", "video"), ("velocity", "video")]
