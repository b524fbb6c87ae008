"""Replay recorded learning curves under search methods, without training anything."""
