"""The sample handbook, indexed as its Job does it: each question finds its section first."""

from pathlib import Path

import pytest
import yaml
from pydantic import TypeAdapter
from rag_contract import payload
from rag_contract.analysis import encode_query
from rag_contract.environment import API_KEYS_FILE, ApiKey, IndexerEnvironment
from rag_indexer import build
from rag_indexer.parsers import markdown
from rag_indexer.progress import Progress
from rag_indexer.servers import Servers
from rag_indexer.store import Store

from tests.qdrant_standin.fixture import Standin

from .conftest import KEY, Bench
from .support import REPOSITORY, settings, write

# question, id of the document, heading of the section
QUESTIONS = [
    ("Nhân viên full-time có bao nhiêu ngày nghỉ phép năm?", "leave-vi", "Nghỉ phép năm"),
    ("nhan vien full-time co bao nhieu ngay nghi phep nam", "leave-vi", "Nghỉ phép năm"),
    ("How many days of annual leave does a full-time employee get?", "leave-en", "Annual leave"),
    ("nghỉ ốm có được trả lương không", "leave-vi", "Nghỉ ốm"),
    ("khi nào cần giấy bác sĩ", "leave-vi", "Nghỉ ốm"),
    ("nghi thai san bao lau", "leave-vi", "Nghỉ thai sản"),
    ("bố được nghỉ mấy tuần khi sinh con", "leave-vi", "Nghỉ thai sản"),
    ("kết hôn được nghỉ mấy ngày", "leave-vi", "Nghỉ việc riêng"),
    ("giờ làm việc mỗi tuần", "working-hours-vi", "Giờ làm việc"),
    ("làm thêm giờ được tính thế nào", "working-hours-vi", "Giờ làm việc"),
    ("lam them gio tinh the nao", "working-hours-vi", "Giờ làm việc"),
    ("được làm việc ở nhà mấy ngày một tuần", "working-hours-vi", "Làm việc từ xa"),
    ("thử việc bao lâu", "working-hours-vi", "Thử việc"),
    ("thu viec bao lau", "working-hours-vi", "Thử việc"),
    ("lương trả ngày nào", "pay-vi", "Ngày trả lương"),
    ("luong tra ngay nao", "pay-vi", "Ngày trả lương"),
    ("phụ cấp ăn khi đi công tác", "pay-vi", "Công tác"),
    ("hóa đơn gửi trong bao nhiêu ngày", "pay-vi", "Chi phí"),
    ("máy tính xách tay được thay sau mấy năm", "equipment-vi", "Máy tính"),
    ("mất điện thoại báo cho ai", "equipment-vi", "Mật khẩu và mất thiết bị"),
    ("ai là tổng giám đốc", "about-vi", "Ban lãnh đạo"),
    ("công ty thành lập năm nào", "about-vi", ""),
    ("chuyển ngày phép sang năm sau", "leave-vi", "Nghỉ phép năm"),
    ("làm việc từ nước ngoài", "working-hours-vi", "Làm việc từ xa"),
    ("bàn làm việc tại nhà", "equipment-vi", "Máy tính"),
    ("notice period", "working-hours-en", "Probation"),
    ("who is the head of people", "about-en", "Who leads the company"),
    ("when is salary paid", "pay-en", "Payday"),
    ("overtime", "working-hours-en", "Working hours"),
    ("carry over unused days", "leave-en", "Annual leave"),
    ("paternity leave weeks father", "leave-en", "Parental leave"),
]


async def _index(server: Standin, folder: Path) -> IndexerEnvironment:
    """The sample with its own chunk sizes, in a collection of its own."""
    config_map, service = yaml.safe_load_all((REPOSITORY / "config/samples/handbook.yaml").read_text(encoding="utf-8"))
    chunking = service["spec"]["index"]["chunking"]
    chosen = settings(
        qdrant_url=server.url,
        collection="sample",
        documents_path=str(write(folder, config_map["data"])),
        max_characters=chunking["maxCharacters"],
        overlap_characters=chunking["overlapCharacters"],
    )
    store = Store(server.url, KEY, "sample", wait_seconds=5)
    await build.build(chosen, Servers(store), Progress())
    await store.close()
    return chosen


async def test_each_question_finds_its_section_first(qdrant: Standin, tmp_path: Path) -> None:
    await _index(qdrant, tmp_path)
    bench = Bench(qdrant, "sample")
    wrong = {}
    for question, document_id, heading in QUESTIONS:
        vector = encode_query(question)
        body = {
            "query": {"indices": vector.indices, "values": vector.values},
            "using": "text",
            "limit": 1,
            "with_payload": True,
            "filter": {"must": [{"key": payload.TENANT, "match": {"value": "default"}}]},
        }
        (hit,) = (await bench.ask("POST", "/points/query", body))["result"]["points"]
        found = (hit["payload"][payload.DOCUMENT_ID], hit["payload"][payload.HEADING])
        if found != (document_id, heading):
            wrong[question] = found
    await bench.store.close()
    assert wrong == {}


@pytest.mark.parametrize("language", ["en", "vi"])
def test_no_sentence_of_the_sample_answers_the_unanswerable_question(language: str) -> None:
    """The demonstration asks for the salary of the head of the company; the handbook must not hold it."""
    text = (REPOSITORY / "config/samples/handbook.yaml").read_text(encoding="utf-8")
    config_map, _ = yaml.safe_load_all(text)
    for name, text in config_map["data"].items():
        if f".{language}." in name:
            for line in text.lower().split("\n\n"):
                assert not ("ceo" in line and ("salar" in line or "lương" in line))


def test_the_keys_of_the_two_tenants_are_such_that_the_api_takes_them() -> None:
    text = (REPOSITORY / "config/samples/two-tenants.yaml").read_text(encoding="utf-8")
    secret, _, config_map = yaml.safe_load_all(text)
    keys = TypeAdapter(list[ApiKey]).validate_json(secret["stringData"][API_KEYS_FILE])
    named = {tenant for content in config_map["data"].values() if (tenant := markdown.parse(content).meta.tenant)}
    assert {key.tenant for key in keys} == named == {"north", "south"}
