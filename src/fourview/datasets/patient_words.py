"""Words that name the patients of a set, looked for in the names of its files."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field

from fourview.ingest.identity import redacted_name


@dataclass(frozen=True)
class PatientWords:
    """Ids and names of a set's patients, lower case (identity.telling_words): for comparing, never shown."""

    words: frozenset[str] = field(repr=False)
    lengths: frozenset[int]

    @classmethod
    def collect(cls, words: Iterable[str]) -> PatientWords:
        collected = frozenset(words)
        return cls(collected, frozenset(map(len, collected)))

    def redact(self, name: str) -> str:
        """The name, or a hash of it where it holds one of the words anywhere, in any case."""
        low = name.lower()
        held = self.words & {low[at : at + length] for length in self.lengths for at in range(len(low) - length + 1)}
        return redacted_name(name, held)
