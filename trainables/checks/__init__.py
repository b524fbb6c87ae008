"""Looking at a corpus, or training a handful of its utterances, before anybody searches."""
