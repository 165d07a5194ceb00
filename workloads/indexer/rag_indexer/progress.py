"""What the run has done so far."""

from rag_contract.reports import IndexProgress, IndexStage
from rag_jobs.progress import RunProgress


class Progress(RunProgress[IndexStage]):
    """Of a build or a verification. Totals are 0 until they are known."""

    def __init__(self) -> None:
        super().__init__("Waiting")
        self.documents_done = 0
        self.documents_total = 0
        self.chunks_done = 0

    def report(self) -> IndexProgress:
        return IndexProgress(
            stage=self.stage,
            documents_done=self.documents_done,
            documents_total=self.documents_total,
            chunks_done=self.chunks_done,
            elapsed_seconds=self.seconds(),
        )
