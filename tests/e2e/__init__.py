"""The whole stack on the bench's node: real containers, the released RBAC, the operator as a pod."""
