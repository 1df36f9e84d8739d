"""What was read stays in memory, up to so many bytes: the latest of it."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable
from typing import Any, Generic, TypeVar

Value = TypeVar("Value")


class Kept(Generic[Value]):
    """The values that were asked for last, whose sizes sum to `most_bytes` at most; one value may be larger.

    It pickles empty: nothing that was read goes to another process.
    """

    def __init__(self, most_bytes: int) -> None:
        self.most_bytes = most_bytes
        self._values: OrderedDict[str, tuple[Value, int]] = OrderedDict()
        self._bytes = 0

    def __getstate__(self) -> dict[str, Any]:
        return {**self.__dict__, "_values": OrderedDict(), "_bytes": 0}

    def __len__(self) -> int:
        return len(self._values)

    def get(self, name: str, make: Callable[[], Value], *, size: Callable[[Value], int]) -> Value:
        """The value of this name, made if it is not there. size: of a value, in bytes"""
        if name in self._values:
            self._values.move_to_end(name)
            return self._values[name][0]
        value = make()
        taken = size(value)
        self._values[name] = value, taken
        self._bytes += taken
        while self._bytes > self.most_bytes and len(self._values) > 1:
            self._bytes -= self._values.popitem(last=False)[1][1]
        return value
