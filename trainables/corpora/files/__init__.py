"""Files that utterances lie in: what they hold, and whether they still hold it."""
