"""What is remembered stays bounded, and the oldest leaves first."""

from rag_operator.runtime.bounded import Bounded


def test_the_entry_that_was_set_longest_ago_leaves() -> None:
    memory: Bounded[str, int] = Bounded(2)
    for number, key in enumerate("abac"):
        memory.set(key, number)
    assert (2, None, 3) == (memory.get("a"), memory.get("b"), memory.get("c"))
    assert ["a", "c"] == list(memory)
    assert 2 == len(memory)


def test_what_is_dropped_is_gone() -> None:
    memory: Bounded[str, None] = Bounded(2)
    memory.set("a", None)
    assert "a" in memory
    memory.drop("a")
    memory.drop("a")
    assert "a" not in memory
