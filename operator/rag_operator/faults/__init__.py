"""Why does it not run? Facts of pods, claims, controllers and Kubernetes' warnings, lifted into a reason and a sentence that says
what to do.

Pure; reads bodies as the API server stores them. Messages are stable: no times, no counters that rise while nothing changes.
"""

from .controllers import claim_fault, controller_fault, growth_fault, held_fault, refusal_fault, refused
from .pods import first_fault, pod_fault, probe_fault
from .words import GRACE, Fault, ripe_in, short

__all__ = [
    "GRACE",
    "Fault",
    "claim_fault",
    "controller_fault",
    "first_fault",
    "growth_fault",
    "held_fault",
    "pod_fault",
    "probe_fault",
    "refusal_fault",
    "refused",
    "ripe_in",
    "short",
]
