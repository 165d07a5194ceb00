"""How a request is named in these tests: resource, service, and what it does to which object."""

import json
import re

from aiohttp import web

HASH = re.compile(r"\b[0-9a-f]{8,32}\b")


def parts(path: str) -> list[str]:
    """Path after group, version and namespace: resource, name, subresource."""
    words = path.strip("/").split("/")
    rest = words[2:] if words[0] == "api" else words[3:]
    return rest[2:] if rest[:1] == ["namespaces"] and len(rest) > 2 else rest


def resource_of(path: str) -> str:
    """Plural name of the kind."""
    return (parts(path) or [""])[0]


def named(path: str) -> bool:
    """The path is of one object."""
    return len(parts(path)) > 1


def signature(request: web.Request, resource: str, body: bytes) -> tuple[str, str]:
    """Service and description of a write. Names of services here hold no "-" and no "."."""
    words = parts(request.path)
    name = words[1] if len(words) > 1 else json.loads(body)["metadata"]["name"]
    service = re.split(r"[-.]", name)[0]
    rest = name.removeprefix(service)
    if resource == "events":
        rest = ""
    elif resource == "pods":
        rest = re.sub(r"^(-\w+).*", r"\1", rest)
    sub = "/".join(["", *words[2:]])
    return service, f"{verb_of(request)} {resource}{sub} {HASH.sub('HASH', rest)}".strip()


def verb_of(request: web.Request) -> str:
    """As the client calls it; "try" for a request that stores nothing."""
    if "dryRun" in request.query:
        return "try"
    if request.method == "PATCH":
        return "apply" if "apply-patch" in request.headers.get("Content-Type", "") else "patch"
    return {"POST": "create", "DELETE": "delete", "PUT": "update"}[request.method]
