"""How a program that runs as a Job ends, as the operator and Kubernetes see it."""

from typing import Literal

from .base import Contract

EXIT_OK = 0
EXIT_RETRY = 1
"""The next pod of the Job may succeed."""
EXIT_FINAL = 2
"""Trying again cannot help: the Job's pod failure policy ends it."""

TERMINATION_BYTES = 4096
"""Of a termination message Kubernetes keeps no more."""


class JobResult(Contract):
    """A termination message, at most `TERMINATION_BYTES` long.

    `reason` is a PascalCase word for the status of the RagService when `outcome` is Failed; `message` holds the remedy.
    """

    outcome: Literal["Succeeded", "Failed"]
    seconds: float = 0.0
    reason: str = ""
    message: str = ""
