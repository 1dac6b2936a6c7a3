"""What models read for each search: counted where it happens, settled when the search's tree arrives."""

from collections import Counter
from dataclasses import dataclass, field

from rstar.core.tree import Cost


@dataclass(slots=True)
class Ledger:
    """Tokens read by key (a problem's id): prompts that generators prefilled, and what value models read.

    A call is charged what it costs alone, with everything shared that is shared within it: a prompt once for its n
    samples, the common part of siblings once. What batches save beyond that depends on who waits at the same moment,
    so it is left out, and a rerun is charged the same.
    """

    prefilled: Counter[str] = field(default_factory=Counter)
    value_tokens: Counter[str] = field(default_factory=Counter)

    def settle(self, key: str, cost: Cost | None) -> None:
        """Close the account of `key`, into `cost` where there is a tree to pay for."""
        prefilled, read = self.prefilled.pop(key, 0), self.value_tokens.pop(key, 0)
        if cost is not None:
            cost.prefilled += prefilled
            cost.value_tokens += read
