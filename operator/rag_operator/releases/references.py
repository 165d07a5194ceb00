"""What the spec names and the user keeps: a ConfigMap with the prompt or the documents. Pure."""

from ..api.reasons import Reason
from ..errors import NotReady
from ..observed import Observed, Reference


def named_config_map(observed: Observed, name: str, field: str) -> Reference:
    """The ConfigMap that `field` of the spec names. Raises NotReady while there is none."""
    reference = observed.references.get(name)
    if reference is None or not reference.found:
        raise NotReady(
            Reason.ConfigMapMissing,
            f'ConfigMap "{name}", named by {field}, does not exist in namespace'
            f' "{observed.service.metadata.namespace}": create it.',
        )
    return reference
