"""A file that init writes says what its keys mean, and is the same sweep."""

import re

import pytest

from glosstune.search.config.keys import list_keys
from glosstune.search.config.loading import load_sweep, packaged_sweeps, read_sweep
from glosstune.search.config.template import USEFUL, write_template
from glosstune.spaces.errors import SettingError
from glosstune.spaces.files.yaml_data import parse_yaml

KEYS = {key.name: key for key in list_keys()}


def _template(sweep, *overrides, everything=False):
    source, tree = read_sweep(sweep, list(overrides))
    text = source.read_text(encoding="utf-8")
    return write_template(tree, text, "my.yaml", schema=None, everything=everything)


def _with_defaults(text):
    """The same with every key in effect that is shown as a comment."""
    return re.sub(r"^( *)#((?:  )?[\w.]+:)", r"\1\2", text, flags=re.MULTILINE)


@pytest.fixture
def given(tmp_path, monkeypatch):
    """What a packaged sweep needs besides."""
    monkeypatch.chdir(tmp_path)
    return lambda name: (
        ["corpus.root=phoenix"]
        * (name == "distil-own" or "distil" not in name)
        * (read_sweep(name, [])[1]["corpus"]["kind"] == "phoenix")
        + ["teacher=teacher.safetensors"] * ("distil" in name)
    )


@pytest.mark.parametrize("everything", [False, True])
@pytest.mark.parametrize("name", packaged_sweeps())
def test_file_of_a_packaged_sweep_is_the_same_sweep_with_its_shown_defaults_or_without(
    name, everything, given, tmp_path
):
    expected = load_sweep(name, given(name))
    file = tmp_path / "my.yaml"
    file.write_text(_template(name, everything=everything), encoding="utf-8")
    assert load_sweep(file, given(name)) == expected
    opened = _with_defaults(file.read_text(encoding="utf-8"))
    assert "\n  lead: 0.85" in opened and "\n  gpu: null" in opened
    file.write_text(opened, encoding="utf-8")
    assert load_sweep(file, given(name)) == expected


@pytest.mark.parametrize("name", packaged_sweeps())
def test_every_key_stands_below_its_meaning(name):
    text = _template(name)
    for key in (
        "model.kind",
        "training.epochs",
        "search.samples",
        "space.dropout",
        "halving.lead",
        "stopping.stuck_wer",
    ):
        words = re.sub(r"\s*\n\s*# ", " ", text)
        assert KEYS[key].meaning in words
        assert re.search(rf"^[ #]*{key.partition('.')[2]}: ", text, re.MULTILINE)


def test_overrides_become_part_of_the_file(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    text = _template("student", "corpus.root=phoenix", "space.dropout=0.2")
    tree = parse_yaml(text, "my.yaml")
    assert tree["name"] == "student-own"  # as a sweep with these overrides is
    assert tree["corpus"]["root"] == str(tmp_path / "phoenix")
    assert tree["space"]["dropout"] == 0.2


def test_comments_of_the_file_that_it_comes_from_stay():
    text = _template("teacher")
    assert text.startswith("# The teacher on the embedded corpus, pretrained on single letters")
    assert "# glosstune sweep my.yaml --check" in text and "# glosstune sweep\n" not in text
    assert "split: multi-signer  # or unseen-clips, or unseen-signers (fold: 1 to 5)" in text
    assert "learning_rate:  # 760 steps in all" in text


def test_lines_are_short_enough_to_read():
    prose = [line for line in _template("teacher").splitlines() if line.lstrip().startswith("# ")]
    assert max(len(line) for line in prose) <= 120


def test_what_is_shown_as_useful_are_keys():
    assert set(USEFUL) <= set(KEYS)


def test_a_sweep_that_was_run_becomes_a_commented_file(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    from glosstune.spaces.files.yaml_data import write_yaml

    sweep = load_sweep("student", ["search.start_points=[]"])
    (tmp_path / "sweep.yaml").write_text(write_yaml(sweep.resolved()))
    (tmp_path / "my.yaml").write_text(_template("sweep.yaml"))
    assert load_sweep("my.yaml") == sweep


def test_a_file_that_was_written_so_is_written_again_as_it_is(tmp_path):
    file = tmp_path / "my.yaml"
    file.write_text(_template("student"), encoding="utf-8")
    assert _template(str(file)) == file.read_text(encoding="utf-8")


@pytest.mark.parametrize(
    ("text", "told"), [("model: {widht: 1}", "did you mean 'width'"), ("trainig: {}", "did you mean 'training'")]
)
def test_a_key_that_no_sweep_has_is_refused(tmp_path, text, told):
    file = tmp_path / "my.yaml"
    file.write_text(text, encoding="utf-8")
    with pytest.raises(SettingError, match=told):
        _template(str(file))
