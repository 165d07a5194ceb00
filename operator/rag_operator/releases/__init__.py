"""Which content is served: identities by hash, and the plan of one pass. Pure."""

from .plan import IndexTarget, Plan, index_result, make_plan, rebuilt_otherwise

__all__ = ["IndexTarget", "Plan", "index_result", "make_plan", "rebuilt_otherwise"]
