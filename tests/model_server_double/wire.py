"""Bodies as vLLM 0.32 writes them; a contract test compares every one with the recorded answers of a real server."""

import time
from typing import Any

Body = dict[str, Any]
FINGERPRINT = "vllm-0.32.0-double"


def error(status: int, message: str, kind: str, param: str | None = None) -> Body:
    return {"error": {"message": message, "type": kind, "param": param, "code": status}}


def usage(prompt: int, completion: int, *, details: bool = True) -> Body:
    body: Body = {"prompt_tokens": prompt, "total_tokens": prompt + completion, "completion_tokens": completion}
    return body | ({"prompt_tokens_details": None, "completion_tokens_details": None} if details else {})


def models(name: str, root: str, length: int) -> Body:
    permission = {
        "id": "modelperm-double",
        "object": "model_permission",
        "created": int(time.time()),
        "allow_create_engine": False,
        "allow_sampling": True,
        "allow_logprobs": True,
        "allow_search_indices": False,
        "allow_view": True,
        "allow_fine_tuning": False,
        "organization": "*",
        "group": None,
        "is_blocking": False,
    }
    card = {
        "id": name,
        "object": "model",
        "created": int(time.time()),
        "owned_by": "vllm",
        "root": root,
        "parent": None,
        "max_model_len": length,
        "permission": [permission],
    }
    return {"object": "list", "data": [card]}


def chat(identity: str, model: str, text: str, finish: str, counts: Body) -> Body:
    message = dict.fromkeys(("refusal", "annotations", "audio", "function_call", "reasoning"))
    choice = {
        "index": 0,
        "message": {"role": "assistant", "content": text, **message},
        "logprobs": None,
        "finish_reason": finish,
        "stop_reason": None,
        "token_ids": None,
        "routed_experts": None,
    }
    more = ("prompt_logprobs", "prompt_token_ids", "prompt_text", "kv_transfer_params", "ec_transfer_params", "metrics")
    return _head(identity, "chat.completion", model) | {
        "choices": [choice],
        "service_tier": None,
        "system_fingerprint": FINGERPRINT,
        "usage": counts,
        **dict.fromkeys(more),
    }


def completion(identity: str, model: str, text: str, finish: str, counts: Body) -> Body:
    nothing = ("stop_reason", "token_ids", "prompt_logprobs", "prompt_token_ids", "routed_experts")
    choice = {"index": 0, "text": text, "logprobs": None, "finish_reason": finish, **dict.fromkeys(nothing)}
    return _head(identity, "text_completion", model) | {
        "choices": [choice],
        "service_tier": None,
        "system_fingerprint": FINGERPRINT,
        "usage": counts,
        **dict.fromkeys(("kv_transfer_params", "ec_transfer_params", "metrics")),
    }


def first_event(identity: str, model: str) -> Body:
    choice = {"index": 0, "delta": {"role": "assistant", "content": ""}, "logprobs": None, "finish_reason": None}
    return _head(identity, "chat.completion.chunk", model) | {
        "choices": [choice],
        "prompt_token_ids": None,
        "prompt_text": None,
    }


def event(identity: str, model: str, text: str, finish: str | None, *, last: bool = False) -> Body:
    """`last`: no event with the usage follows, so this one carries the fingerprint."""
    choice: Body = {
        "index": 0,
        "delta": {"content": text},
        "logprobs": None,
        "finish_reason": finish,
        "token_ids": None,
    }
    if finish is not None:
        choice["stop_reason"] = None
    body = _head(identity, "chat.completion.chunk", model) | {"choices": [choice]}
    return body | {"system_fingerprint": FINGERPRINT} if last else body


def usage_event(identity: str, model: str, counts: Body) -> Body:
    return _head(identity, "chat.completion.chunk", model) | {
        "choices": [],
        "usage": counts,
        "system_fingerprint": FINGERPRINT,
    }


def _head(identity: str, kind: str, model: str) -> Body:
    return {"id": identity, "object": kind, "created": int(time.time()), "model": model}


def embeddings(identity: str, model: str, data: list[Body], counts: Body) -> Body:
    return {
        "id": identity,
        "object": "list",
        "created": int(time.time()),
        "model": model,
        "data": data,
        "usage": counts,
    }
