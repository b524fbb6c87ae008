"""Text for a terminal stands in columns and commands nothing."""

from glosstune.results.text import align, printable


def test_cells_stand_below_each_other_and_no_line_ends_in_spaces():
    rows = [("", "WER", "why"), ("first", "9.0%", ""), ("b", "100.0%", "stopped")]
    assert align(rows, left=[0, 2]) == ["          WER  why", "first    9.0%", "b      100.0%  stopped"]


def test_no_rows_are_no_lines():
    assert align([]) == []


def test_no_control_sequence_reaches_a_terminal():
    assert printable("a\x1b[2Jb\nc é🎉") == "a [2Jb c é🎉"
