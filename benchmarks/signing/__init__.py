"""Sentences signed as fragments of fingerspelled letters, which ``stand_in.py`` writes to a folder."""
