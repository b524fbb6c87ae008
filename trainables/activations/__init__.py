"""Activations of frozen layers: computed once, shared by all trials of a node."""

from glosstune.trainables.activations.assembling import augment_batch
from glosstune.trainables.activations.cache import PrefixCache
from glosstune.trainables.activations.store import PrefixStore

__all__ = ["PrefixCache", "PrefixStore", "augment_batch"]
