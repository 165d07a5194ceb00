"""The table of broken states. A lane is one service; its rows run one after the other, each repaired by an edit of the RagService,
of an object that it names, or of what the cluster's owner set.
"""

from . import lane_api, lane_cluster, lane_index, lane_store
from .run import Healed, Lane, Row

FIRST: list[Lane] = [*lane_index.LANES, *lane_api.LANES, *lane_store.LANES, *lane_cluster.LANES]
LAST: list[Lane] = lane_cluster.LAST
ROWS: list[Row | Healed] = [row for lane in (*FIRST, *LAST) for row in lane.rows]
