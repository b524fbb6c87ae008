"""A sweep: what is trained, what is searched and how, checked once."""

from collections.abc import Mapping
from typing import Any, Self

from pydantic import model_validator

from glosstune.models.kinds import architecture_of
from glosstune.search.config.errors import validated
from glosstune.search.config.rules import check_sweep
from glosstune.search.config.sections import AUTO, Sections
from glosstune.spaces import STRATEGIES, SettingError
from glosstune.spaces.parameters import Scalar
from glosstune.spaces.start_points import strategy_points
from glosstune.trainables.settings import SETTINGS_PATHS, TrialSettings

_OF_A_TRIAL = {"model", "corpus", "training", "freezing", "pretrained", "pretraining", "teacher", "distillation"}
_OF_A_TRIAL |= {"teacher_kind", "activation_cache", "activation_cache_gb"}


class Sweep(Sections):
    """Everything that one search needs to know; a space replaces the default space as a whole.

    Raises:
        SettingError: sections that contradict each other, or a space that a setting does not take.
    """

    @model_validator(mode="after")
    def _agrees_with_itself(self) -> Self:
        epochs = check_sweep(self)
        if epochs != self.training.epochs:
            # A constant of the space is a setting like any other: rungs and displays read it in one place.
            object.__setattr__(self, "training", self.training.model_copy(update={"epochs": epochs}))
        return self

    def trial_settings(self, configuration: Mapping[str, object]) -> TrialSettings:
        """The settings of the trial that a configuration from the space stands for.

        Raises:
            SettingError: the configuration lies outside the space, or its strategy needs weights that
                ``search.with_weights`` has yet to make.
        """
        self.space.check(configuration)
        return self.settings_of(configuration)

    def settings_of(self, configuration: Mapping[str, object]) -> TrialSettings:
        """The same for any configuration that the settings take: a trial may have begun in a wider space."""
        settings: dict[str, Any] = self.model_dump(mode="json", include=_OF_A_TRIAL)
        if self.pretrained == AUTO:
            if STRATEGIES[str(configuration.get("strategy", "baseline"))].pretrained:
                raise SettingError("'auto' is no file yet; see glosstune.search.with_weights", key="pretrained")
            settings["pretrained"] = None
        for name, value in configuration.items():
            *parents, last = SETTINGS_PATHS[name]
            section = settings
            for parent in parents:
                section = section.setdefault(parent, {})
            section[last] = value
        return validated(TrialSettings, settings)

    @property
    def start_points(self) -> list[dict[str, Scalar]]:
        """Configurations of the space to try first."""
        points = self.search.start_points
        if points != "strategies":
            return [dict(point) for point in points]
        return strategy_points(self.space, architecture_of(self.model.kind).depths)

    def resolved(self) -> dict[str, Any]:
        """Plain data with every default explicit, of which load_sweep makes an equal sweep."""
        return self.model_dump(mode="json")
