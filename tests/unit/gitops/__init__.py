"""config/gitops: what delivery tools make of a status."""
