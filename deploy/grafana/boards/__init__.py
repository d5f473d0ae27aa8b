"""What the dashboards show: every panel with its queries, as tables."""

from boards.capacity import CAPACITY
from boards.panels import JOB, Board, Panel
from boards.policies import POLICIES
from boards.service import SERVICE

BOARDS = {"service": SERVICE, "policies": POLICIES, "capacity": CAPACITY}

__all__ = ["BOARDS", "JOB", "Board", "Panel"]
