"""docs/api.md, from the same schemas as the CRDs: every field with type, default, bounds and meaning. Pure.

python -m rag_operator.reference docs/api.md [--check]
"""

import json
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from . import crd

Json = dict[str, Any]

INTRODUCTION = f"""# API reference

Generated from the models in `operator/rag_operator/api`; do not edit.

Objects of group `{crd.GROUP}`, version `{crd.VERSION}`. `kubectl explain ragservice.spec --recursive` tells the same on a
cluster. Fields without a default are required when the table says so, else they may be left out. The API server applies
all defaults and refuses what breaks a rule, also while the operator is down.
"""
RULES = "x-kubernetes-validations"
QUANTITY = "x-kubernetes-int-or-string"


def markdown() -> str:
    """The whole page."""
    definitions = (crd.rag_services(), crd.rag_revisions())
    return "\n".join([INTRODUCTION, *(line for body in definitions for line in _kind(body))]) + "\n"


def _kind(definition: Json) -> Iterator[str]:
    names, version = definition["spec"]["names"], definition["spec"]["versions"][0]
    schema = version["schema"]["openAPIV3Schema"]
    also = ", ".join(f"`{name}`" for name in names["shortNames"])
    yield f"## {names['kind']}\n\n{schema['description']} Short names: {also}.\n"
    yield from _rules(schema)
    for part in ("spec", "status"):
        if part in schema["properties"]:
            yield from _section(part, schema["properties"][part])


def _section(path: str, schema: Json) -> Iterator[str]:
    """One table for an object, then those of the objects in it."""
    required = set(schema.get("required", ()))
    yield f"### {path}\n\n{_text(schema['description'])}\n"
    yield "| field | type | default | bounds | meaning |\n|---|---|---|---|---|"
    for name, field in schema["properties"].items():
        cells = (
            f"`{name}`",
            _type(field),
            _default(field, name in required),
            _bounds(field),
            _text(field["description"]),
        )
        yield "| " + " | ".join(cells) + " |"
    yield ""
    yield from _rules(schema)
    told = [line for name, field in schema["properties"].items() for line in _field_rules(name, field)]
    if told:
        yield "\n".join([*told, ""])
    for name, field in schema["properties"].items():
        inner = field.get("items", field)
        if "properties" in inner:
            mark = "[]" if "items" in field else ""
            yield from _section(f"{path}.{name}{mark}", {"description": field["description"], **_described(inner)})


def _text(words: str) -> str:
    """Words that Markdown takes as they are, also in a table."""
    return words.replace("|", "\\|").replace("<", "\\<")


def _described(schema: Json) -> Json:
    return {key: value for key, value in schema.items() if key != "description"}


def _type(field: Json) -> str:
    if field.get(QUANTITY):
        return "quantity"
    if "enum" in field:
        return " or ".join(f"`{value}`" for value in field["enum"])
    if "items" in field:
        return "list"
    return str(field["type"])


def _default(field: Json, required: bool) -> str:
    if required:
        return "required"
    if "default" not in field or field["default"] == "":
        return ""
    value = field["default"]
    if isinstance(value, dict):
        return "see below"
    return f"`{value}`" if isinstance(value, str) else f"`{json.dumps(value)}`"


def _bounds(field: Json) -> str:
    low, high = field.get("minimum", ""), field.get("maximum", "")
    parts = [f"{low} to {high}" if high != "" else f"from {low}"] if low != "" or high != "" else []
    if "maxLength" in field:
        parts.append(f"{field.get('minLength', 0)} to {field['maxLength']} characters")
    if "maxItems" in field:
        parts.append(f"at most {field['maxItems']}")
    return ", ".join(parts)


def _field_rules(name: str, field: Json) -> Iterator[str]:
    if "properties" not in field:
        told = [rule["message"] for rule in field.get(RULES, ())]
        if told:
            yield f"- `{name}` {_text('; '.join(told))}."


def _rules(schema: Json) -> Iterator[str]:
    for rule in schema.get(RULES, ()):
        field, message = rule.get("fieldPath", "").removeprefix("."), _text(rule["message"])
        where = f"`{field}` " if field and not message.startswith(field) else ""
        yield f"- {where}{message}."
    if schema.get(RULES):
        yield ""


def main(words: list[str]) -> int:
    """Write the page to the path that is named; with --check say whether it is current."""
    path, check = Path(words[0]), "--check" in words[1:]
    if not check:
        path.write_text(markdown(), encoding="utf-8")
        return 0
    if path.exists() and path.read_text(encoding="utf-8") == markdown():
        return 0
    sys.stderr.write(f"{path} is not current: run make manifests\n")
    return 1


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
