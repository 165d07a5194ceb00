"""The RagService that end-to-end tests start from, and small variations of it."""

from typing import Any

Json = dict[str, Any]

DOCUMENTS = {
    "leave.en.md": (
        "---\nid: leave-en\ntitle: Leave\n---\n# Leave\n\n## Annual leave\n\n"
        "A full-time employee gets 14 days of annual leave a year. Unused days expire on 31 March.\n"
    ),
    "leave.vi.md": (
        "---\nid: leave-vi\ntitle: Nghỉ phép\n---\n# Nghỉ phép\n\n"
        "Nhân viên full-time có 14 ngày nghỉ phép năm. Ngày phép không dùng hết hiệu lực vào 31 tháng 3.\n"
    ),
    "pay.en.md": "---\nid: pay-en\ntitle: Pay\n---\n# Pay\n\nSalary is paid on the 25th of each month.\n",
}
QUESTION = "How many days of annual leave does a full-time employee get?"
QUESTION_VI = "Nhân viên full-time có bao nhiêu ngày nghỉ phép năm?"
UNANSWERABLE = "What is the CEO's salary?"
REFUSAL = "That is not in the documents."


def documents(name: str = "docs", **files: str) -> Json:
    """A ConfigMap with the documents; `files` replace or add some, by name with `_` for `.`."""
    extra = {key.replace("_", "."): text for key, text in files.items()}
    return {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": name}, "data": DOCUMENTS | extra}


def rag_service(name: str = "faq", **spec: Json) -> Json:
    """A RagService over the ConfigMap `docs`; top-level parts of the spec can be replaced whole."""
    base: Json = {
        "api": {"drainSeconds": 5},
        "vectorStore": {"qdrant": {"storage": {"size": "1Gi"}}},
        "prompt": {"version": "answer-v1", "system": "Answer from the sources.", "refusal": REFUSAL},
        "index": {"version": "docs-v1", "documents": {"configMapRef": {"name": "docs"}}},
    }
    return {
        "apiVersion": "ragserving.dev/v1alpha1",
        "kind": "RagService",
        "metadata": {"name": name},
        "spec": base | spec,
    }
