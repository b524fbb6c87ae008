import pytest
from replay import sweep

from glosstune.search.config.changes import check_places, list_changes
from glosstune.spaces import SettingError


@pytest.mark.parametrize(
    ("override", "changed"),
    [
        ("search.samples=40", {"search.samples": 40}),
        ("search.time_budget_min=5", {"search.time_budget_min": 5.0}),
        ("search.stop_at_target=true", {"search.stop_at_target": True}),
        ("resources.concurrent=2", {"resources.concurrent": 2}),
        ("corpus.cache=/larger/disk", {"corpus.cache": "/larger/disk"}),
        ("space.dropout.float=[0, 0.1]", {"space.dropout": {"float": [0.0, 0.1]}}),
    ],
)
def test_how_much_is_searched_and_where_may_change(override: str, changed: dict) -> None:
    assert list_changes(sweep(), sweep(override)) == changed
    assert list_changes(sweep(), sweep()) == {}


def test_where_a_corpus_lies_may_change() -> None:
    """Its content is compared when it is opened."""
    lies = ["corpus.kind=phoenix", "corpus.root=/data/phoenix", "pretrained=null"]
    moved = "corpus.root=/moved/phoenix"
    assert list_changes(sweep(*lies), sweep(*lies, moved)) == {"corpus.root": "/moved/phoenix"}
    with pytest.raises(
        SettingError, match=r"override 'corpus\.layout=base': why; only corpus\.root, corpus\.cache, pretrained"
    ):
        check_places([moved, "corpus.layout=base"], "why")


def test_where_weights_lie_may_change_but_not_whether_there_are_any() -> None:
    """Whoever goes on compares their hash."""
    began = ["space={strategy: {choice: [baseline, full-finetune]}}", "pretrained=/data/weights.pt"]
    assert list_changes(sweep(*began), sweep(*began, "pretrained=/moved/w.pt")) == {"pretrained": "/moved/w.pt"}
    made = [began[0], "pretrained=auto"]
    assert list_changes(sweep(*made), sweep(*began)) == {"pretrained": "/data/weights.pt"}
    with pytest.raises(SettingError, match="pretrained: cannot change while a sweep goes on"):
        list_changes(sweep(*began), sweep(*made))
    with pytest.raises(SettingError, match="pretrained: cannot change while a sweep goes on"):
        list_changes(sweep("pretrained=null"), sweep(*began))


def test_where_a_teacher_lies_may_change_but_not_whether_there_is_one() -> None:
    taught, moved = "teacher=/data/teacher.safetensors", "/moved/teacher.safetensors"
    assert list_changes(sweep(taught), sweep(f"teacher={moved}")) == {"teacher": moved}
    with pytest.raises(SettingError, match=r"teacher: cannot change .* it was '/data/teacher.safetensors'; got null"):
        list_changes(sweep(taught), sweep(taught, "teacher=null"))
    with pytest.raises(SettingError, match=r"teacher: cannot change .* it was null"):
        list_changes(sweep(), sweep(taught))


@pytest.mark.parametrize(
    ("override", "message"),
    [
        ("training.epochs=30", r"training.epochs: cannot change .* it was 18; got 30; start another sweep"),
        ("halving.min_epochs=4", r"halving.min_epochs: cannot change"),
        ("stopping.margin=0.1", r"stopping.margin: cannot change"),
        ("search.metric=dev_loss", r"search.metric: cannot change"),
        ("corpus.gains.face=1", r"corpus.gains.face: cannot change"),
        ("space={dropout: {float: [0, 0.5]}}", r"space: must keep its parameters, learning_rate, .*; got dropout"),
    ],
)
def test_what_trials_are_compared_by_may_not(override: str, message: str) -> None:
    with pytest.raises(SettingError, match=message):
        list_changes(sweep(), sweep(override))
