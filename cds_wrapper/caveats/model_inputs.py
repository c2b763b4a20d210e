"""Which of a service's inputs a model card speaks of, and which of them describe the person. Pure."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from cds_wrapper.caveats.model_card import ModelInput
from cds_wrapper.vendors.features import Input


def is_called(name: str, one: Input) -> bool:
    """Whether a model card's name for an input means this one of the service: its name or its label."""
    return means(name, one.name, one.label)


def means(name: str, *called: str) -> bool:
    """Whether a name is one of these, but for capitals, blanks and underlines."""
    return _plain(name) in map(_plain, called)


def _plain(name: str) -> str:
    return " ".join(name.replace("_", " ").casefold().split())


@dataclass(frozen=True, slots=True)
class PersonalInputs:
    """The inputs that describe the person, as a model card names them: a card says no more than that."""

    names: frozenset[str] = frozenset()

    @classmethod
    def of(cls, inputs: Iterable[ModelInput]) -> PersonalInputs:
        """Those that the model card marks so."""
        return cls(frozenset(_plain(one.name) for one in inputs if one.is_demographic))

    def labels(self, inputs: Iterable[Input]) -> tuple[str, ...]:
        """The label of each input; an empty one for what describes the person."""
        return tuple("" if self._holds(one) else one.label for one in inputs)

    def _holds(self, one: Input) -> bool:
        return not self.names.isdisjoint({_plain(one.name), _plain(one.label)})


NO_PERSONAL_INPUTS = PersonalInputs()
