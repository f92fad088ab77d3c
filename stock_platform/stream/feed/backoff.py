"""How long to wait before connecting again: rising, bounded, never in step with others."""

from dataclasses import dataclass


@dataclass(slots=True)
class ReconnectBackoff:
    """Waits grow by `factor` up to `max_ms`; a good connection starts over."""

    initial_ms: int
    factor: float
    max_ms: int
    attempts: int = 0

    def next_s(self, chance: float, *, terminal: bool = False) -> float:
        """Return the next wait; `chance` in [0, 1) shortens it by up to a quarter.

        A terminal refusal (wrong key, too many connections) waits the maximum at
        once: asking faster only makes the account's trouble worse.
        """
        wait_ms = min(self.max_ms, self.initial_ms * self.factor ** min(self.attempts, 64))
        self.attempts += 1
        if terminal:
            wait_ms = self.max_ms
        return wait_ms * (1 - chance / 4) / 1000

    def reset(self) -> None:
        self.attempts = 0
