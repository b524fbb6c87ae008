"""Activations of frozen layers: computed once, shared by all trials of a node."""

from glosstune.trainables.activations.assembling import augment_batch
from glosstune.trainables.activations.cache import ActivationCache
from glosstune.trainables.activations.store import ActivationStore

__all__ = ["ActivationCache", "ActivationStore", "augment_batch"]
