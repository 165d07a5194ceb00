"""Which content is served: identities by hash, and the plan of one pass. Pure."""

from .plan import IndexTarget, Plan, make_plan

__all__ = ["IndexTarget", "Plan", "make_plan"]
