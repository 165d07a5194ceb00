"""How what stands between the passes and the cluster is broken: warnings, Events, children that were taken away, the host."""

from .mutant import Mutant

OPERATOR = "operator/rag_operator/"
CLUSTER = OPERATOR + "cluster/"

ROWS = "tests/unit/rag_operator/"
WARNINGS = ROWS + "test_warnings.py::test_"
CHILDREN = ROWS + "test_children.py::test_"

CLUSTERWIDE = (
    Mutant(
        "warnings-of-models-unheard",
        "what Kubernetes warns about model pods, their claim and their downloads is thrown away",
        CLUSTER,
        "names.COMPONENT_INDEX, names.COMPONENT_MODEL)",
        "names.COMPONENT_INDEX)",
        WARNINGS + "warnings_about_every_component_are_kept",
    ),
    Mutant(
        "other-owners-removed",
        "a child that is taken back loses the owners that others gave it",
        CLUSTER,
        'mine["ownerReferences"] = _with_others(mine["ownerReferences"], live)',
        "pass",
        CHILDREN + "owners_that_others_gave_stay",
    ),
)
