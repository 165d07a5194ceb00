"""The end-to-end tests' own fixtures: the operator as users install it, a namespace for each test."""

from tests.e2e.conftest import kube, operator

__all__ = ["kube", "operator"]
