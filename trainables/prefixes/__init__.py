"""Activations of frozen layers: computed once, shared by all trials of a node."""

from glosstune.trainables.prefixes.assembling import augment_batch
from glosstune.trainables.prefixes.cache import PrefixCache
from glosstune.trainables.prefixes.store import PrefixStore

__all__ = ["PrefixCache", "PrefixStore", "augment_batch"]
