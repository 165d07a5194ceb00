"""The control plane and the operator of the reconcile tests."""

from tests.control_plane.reconcile.conftest import kube, plane

__all__ = ["kube", "plane"]
