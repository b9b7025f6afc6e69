"""Registries: names and the classes that they stand for, each imported when it is asked for."""

from collections import UserDict
from importlib import import_module
from typing import Any, TypeVar

Kind = TypeVar("Kind")


class Registry(UserDict[str, type[Kind]]):
    """Name -> class; written down as `"module:Class"`, or as the class itself.

    >>> Registry[dict]({"counter": "collections:Counter"})["counter"]
    <class 'collections.Counter'>
    """

    def __init__(self, classes: dict[str, str]) -> None:
        super().__init__()
        self.data: dict[str, Any] = dict(classes)

    def __getitem__(self, name: str) -> type[Kind]:
        """The class of a name."""
        found = self.data[name]
        if isinstance(found, str):
            module, _, own = found.partition(":")
            found = self.data[name] = getattr(import_module(module), own)
        kind: type[Kind] = found
        return kind

    def class_named(self, own: str) -> type[Kind]:
        """The class by its own name, as an attribute of the module that has the registry.

        Raises:
            AttributeError: if there is none.
        """
        for name, found in self.data.items():
            if own == (found.partition(":")[2] if isinstance(found, str) else found.__name__):
                return self[name]
        raise AttributeError(f"there is no {own!r}; there are {', '.join(self)}")
