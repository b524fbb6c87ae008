"""CTC: its loss and floor, decoding, alignment, and the scoring of what was decoded."""
