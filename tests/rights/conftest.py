"""The end-to-end tests' own fixtures: the operator as users install it, a namespace for each module."""

from tests.e2e.conftest import module_kube, operator

__all__ = ["module_kube", "operator"]
