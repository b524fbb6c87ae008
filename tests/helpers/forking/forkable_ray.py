"""Imports Ray's Tune such that forks of this process draw random numbers of their own.

Ray draws one for each actor of its own that it declares. That would seed its generator here, and all forks would draw
the same from then on.
"""

import importlib
import os
from unittest import mock

import ray.actor
from ray import ActorClassID


class _Drawn:
    @staticmethod
    def from_random() -> ActorClassID:
        return ActorClassID(os.urandom(ActorClassID.size()))


with mock.patch.object(ray.actor, "ActorClassID", _Drawn):
    importlib.import_module("ray.tune")
