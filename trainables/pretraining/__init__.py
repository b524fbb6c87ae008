"""Weights to start from: a backbone that has learned to tell signs apart."""
