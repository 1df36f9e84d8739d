"""What was read stays in memory, as much of it as is allowed."""

from __future__ import annotations

import pickle

from fourview.train.kept import Kept


def ask(kept: Kept[str], names: str) -> str:
    """The names that had to be made, in their order; each takes a byte per letter."""
    made: list[str] = []

    def make(name: str) -> str:
        made.append(name)
        return name

    for name in names.split():
        assert kept.get(name, lambda name=name: make(name), size=len) == name
    return " ".join(made)


def test_what_is_there_is_not_made_again() -> None:
    assert ask(Kept(100), "a b a b c a") == "a b c"


def test_what_was_asked_for_last_stays() -> None:
    kept: Kept[str] = Kept(2)
    assert ask(kept, "a b a c") == "a b c"
    assert ask(kept, "a c b") == "b"


def test_a_value_larger_than_all_room_is_kept_until_the_next_one() -> None:
    kept: Kept[str] = Kept(2)
    assert ask(kept, "large large a large") == "large a large"


def test_nothing_that_was_read_goes_to_another_process() -> None:
    kept: Kept[str] = Kept(100)
    ask(kept, "a b")
    assert len(kept) == 2
    assert len(pickle.loads(pickle.dumps(kept))) == 0
