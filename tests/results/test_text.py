"""Text for a terminal stands in columns and commands nothing."""

from pathlib import Path

from hostile import ESCAPE, TURNED
from rich.console import Console

from glosstune.results.text import align, fold, lines_to, printable


def test_cells_stand_below_each_other_and_no_line_ends_in_spaces():
    rows = [("", "WER", "why"), ("first", "9.0%", ""), ("b", "100.0%", "stopped")]
    assert align(rows, left=[0, 2]) == ["          WER  why", "first    9.0%", "b      100.0%  stopped"]


def test_no_rows_are_no_lines():
    assert align([]) == []


def test_no_control_sequence_reaches_a_terminal():
    assert printable("a\x1b[2Jb\nc é🎉") == "a [2Jb c é🎉"


def test_text_is_folded_at_blanks_and_no_path_is_broken():
    text = "why       stopped, 3rd of 4\n weights\nweights   /a/folder/of-a/name/that/is/long"
    assert fold(text, 18, indent=10).split("\n") == [
        "why       stopped,",
        "          3rd of 4",
        " weights",
        "weights",
        "          /a/folder/of-a/name/that/is/long",
    ]


def test_a_console_is_handed_text_alone():
    console = Console(width=20, force_terminal=True)
    say = lines_to(console)
    with console.capture() as captured:
        for line in (f"{ESCAPE}[red]a[/red] :smile: 12", TURNED, "long " * 9, Path("/a[b]")):
            say(line)
    told = captured.get()
    assert told == "\\x1b[2J\\x1b]0;owned\\x07[red]a[/red] :smile: 12\na\\u202etxt.exe\n" + "long " * 9 + "\n/a[b]\n"
