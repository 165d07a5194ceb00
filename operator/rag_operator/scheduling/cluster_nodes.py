"""All nodes and what is taken of them at one moment."""

from collections.abc import Mapping
from dataclasses import dataclass, field

from .explain import Placement, explain
from .need import Need
from .nodes import NodeFacts, NodeUse


@dataclass(frozen=True, slots=True)
class ClusterNodes:
    """A snapshot. Verdicts are remembered: many pods, and several parts of a pass, ask for the same."""

    nodes: tuple[NodeFacts, ...]
    use: Mapping[str, NodeUse] = field(default_factory=dict)
    _said: dict[Need, Placement] = field(default_factory=dict, repr=False, compare=False)

    def explain(self, need: Need) -> Placement:
        """Where one more pod with this need would go, or why nowhere."""
        said = self._said.get(need)
        if said is None:
            said = self._said[need] = explain(need, self.nodes, self.use)
        return said
