"""Which content is served: identities by hash, what was released, what is gone back to, and the plan of one pass. Pure."""

from .overlay import Overlay
from .plan import Plan, make_plan
from .records import Record, Records
from .target import IndexTarget, index_result, rebuilt_otherwise

__all__ = ["IndexTarget", "Overlay", "Plan", "Record", "Records", "index_result", "make_plan", "rebuilt_otherwise"]
