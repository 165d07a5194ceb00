"""The settings of an API pod as text: what is in it names the ConfigMap, and another name rolls the pods of every service."""

from rag_contract.environment import ApiEnvironment

KNOWN = {
    "SERVICE",
    "QDRANT_URL",
    "AUTH_MODE",
    "RELEASES_PATH",
    "KEYS_PATH",
    "MODEL_KEYS_PATH",
    "HOST",
    "PORT",
    "REQUEST_TIMEOUT_SECONDS",
    "STREAM_TIMEOUT_SECONDS",
    "FIRST_TOKEN_TIMEOUT_SECONDS",
    "TOKEN_TIMEOUT_SECONDS",
    "QUEUE_TIMEOUT_MILLISECONDS",
    "MAX_CONCURRENT_REQUESTS",
    "REQUESTS_PER_MINUTE",
    "DRAIN_SECONDS",
    "LOG_LEVEL",
}


def test_a_new_setting_is_absent_until_somebody_asks_for_it() -> None:
    """A field that is added defaults to None: with a value, every upgrade of the operator would roll the API pods."""
    written = ApiEnvironment(service="faq", qdrant_url="http://faq-qdrant:6333").to_env()
    assert {f"{ApiEnvironment.prefix}{name}" for name in KNOWN} == set(written)
