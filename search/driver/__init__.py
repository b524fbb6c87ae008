"""One process drives one sweep, from its first trial to its last."""
