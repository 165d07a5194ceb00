"""All collections of a storage folder and their aliases."""

import json
import shutil
import threading
import uuid
from pathlib import Path
from typing import Any

from . import schema
from .collection import Collection, write_json
from .errors import ApiError, bad_format, no_collection, wrong_input

Body = dict[str, Any]
_FORBIDDEN = set('<>:"/\\|?*\0\x1f')


def check_name(name: str) -> str:
    """A name that a collection or an alias may bear; 422 for others."""
    if not 1 <= len(name) <= 255:
        raise _bad_name(f"collection name must be 1 to 255 characters long, not {len(name)}")
    if wrong := sorted(_FORBIDDEN & set(name)):
        raise _bad_name(f'collection name cannot contain "{wrong[0]}" char')
    if set(name) == {"."}:
        raise _bad_name("collection name cannot be made of dots")
    return name


def _bad_name(message: str) -> ApiError:
    return ApiError(422, f"Validation error in path parameters: [collection_name: {message}]")


class Catalog:
    """Opens the storage folder, holds its collections open until `close`."""

    def __init__(self, storage: Path) -> None:
        self._folder = storage / "collections"
        self.workspace = storage / "unfinished"  # what is being removed or restored; nothing in it outlives a start
        self._alias_file = storage / "aliases" / "data.json"
        shutil.rmtree(self.workspace, ignore_errors=True)
        for folder in (self._folder, self._alias_file.parent, self.workspace):
            folder.mkdir(parents=True, exist_ok=True)
        self._lock = threading.RLock()
        self.collections: dict[str, Collection] = {}
        self.aliases: dict[str, str] = {}
        if self._alias_file.exists():
            self.aliases = json.loads(self._alias_file.read_text(encoding="utf-8"))
        for path in sorted(self._folder.iterdir()):
            if (path / "config.json").exists():
                self.collections[path.name] = Collection.load(path)
            else:
                shutil.rmtree(path)  # its creation never finished: nobody was told that it exists

    def path(self, name: str) -> Path:
        """The folder of a collection."""
        return self._folder / check_name(name)

    def get(self, name: str) -> Collection:
        """A collection by its name or an alias; 404 without one."""
        found = self.collections.get(self.aliases.get(name, name))
        if found is None:
            raise no_collection(name)
        return found

    def create(self, name: str, body: Body) -> None:
        """A new collection; 409 when it exists."""
        check_name(name)
        with self._lock:
            if name in self.collections:
                raise _exists(name)
            if name in self.aliases:
                raise wrong_input(f"Can't create collection with name {name}. Alias with the same name already exists")
            self.collections[name] = Collection.create(self.path(name), schema.config_from(body))

    def delete(self, name: str) -> bool:
        """Removes a collection and the aliases that point to it; False without one. An alias is not followed."""
        with self._lock:
            found = self.collections.pop(name, None)
            if found is None:
                return False
            found.close()
            self._discard(found.path)
            self._set_aliases({alias: to for alias, to in self.aliases.items() if to != name})
            return True

    def replace(self, name: str, folder: Path) -> None:
        """Puts a restored folder in the place of a collection, or makes a new one of it."""
        with self._lock:
            old = self.collections.pop(name, None)
            if old is not None:
                old.close()
                self._discard(old.path)
            folder.rename(self.path(name))
            self.collections[name] = Collection.load(self.path(name))

    def _discard(self, path: Path) -> None:
        """Moves a folder away in one step, then removes it: a crash leaves no half collection."""
        target = self.workspace / uuid.uuid4().hex
        path.rename(target)
        shutil.rmtree(target)

    def change_aliases(self, actions: list[Body]) -> None:
        """Applies all actions or none. Creating an alias that exists moves it, as Qdrant does."""
        with self._lock:
            aliases = dict(self.aliases)
            for action in actions:
                self._change_alias(aliases, action)
            self._set_aliases(aliases)

    def _change_alias(self, aliases: dict[str, str], action: Body) -> None:
        if row := action.get("create_alias"):
            alias, name = check_name(row["alias_name"]), row["collection_name"]
            if alias in self.collections:
                raise _exists(alias)
            if name not in self.collections:
                raise no_collection(name)
            aliases[alias] = name
        elif row := action.get("delete_alias"):
            aliases.pop(row["alias_name"], None)
        elif row := action.get("rename_alias"):
            old, new = row["old_alias_name"], check_name(row["new_alias_name"])
            if old not in aliases:
                raise ApiError(404, f"Not found: Alias {old} does not exists!")
            if new in self.collections:
                raise _exists(new)
            aliases[new] = aliases.pop(old)
        else:
            raise bad_format("data did not match any variant of untagged enum AliasOperations")

    def _set_aliases(self, aliases: dict[str, str]) -> None:
        if aliases != self.aliases:
            write_json(self._alias_file, aliases)
            self.aliases = aliases

    def flush(self) -> None:
        """Brings what changed since the last time to the disk."""
        for collection in list(self.collections.values()):
            if collection.dirty:
                collection.flush()

    def close(self) -> None:
        """Flushes and closes everything."""
        with self._lock:
            for collection in self.collections.values():
                collection.close()
            self.collections.clear()


def _exists(name: str) -> ApiError:
    return wrong_input(f"Collection `{name}` already exists!", 409)
