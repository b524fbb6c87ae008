"""Faults that are planted in signing as people have it: tables of recordings in several layouts."""
