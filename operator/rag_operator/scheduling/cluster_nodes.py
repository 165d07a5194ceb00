"""All nodes and what is taken of them at one moment."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

from .explain import Placement, explain
from .need import Need
from .nodes import NO_USE, NodeFacts, NodeUse, PodUse, less


@dataclass(frozen=True, slots=True)
class ClusterNodes:
    """A snapshot. Verdicts are remembered: many pods, and several parts of a pass, ask for the same.

    `own` are the pods of one RagService that are on nodes, by name.
    """

    nodes: tuple[NodeFacts, ...]
    use: Mapping[str, NodeUse] = field(default_factory=dict)
    own: Mapping[str, PodUse] = field(default_factory=dict)
    _said: dict[Need, Placement] = field(default_factory=dict, repr=False, compare=False)

    def explain(self, need: Need) -> Placement:
        """Where one more pod with this need would go, or why nowhere."""
        said = self._said.get(need)
        if said is None:
            said = self._said[need] = explain(need, self.nodes, self.use)
        return said

    def after(self, need: Need, leaving: Iterable[str]) -> Placement:
        """The verdict for when one of these pods of `own` has left: the first that makes room, else why none would."""
        said = self.explain(need)
        for name in sorted(set(leaving) & self.own.keys()):
            pod = self.own[name]
            left = less(self.use.get(pod.node, NO_USE), [pod])
            said = explain(need, self.nodes, {**self.use, pod.node: left})
            if said.fits:
                break
        return said
