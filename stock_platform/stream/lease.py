"""One effective writer per API key: a lease in Redis with a fencing number.

The account has one connection; two sidecars would evict each other for ever.
The number only rises, so a sidecar that was paused and wakes up is recognised by it.
"""

import hashlib
from dataclasses import dataclass

from stock_platform.stream.sinks.redis_store import ValueStore

_ACQUIRE = """
local held = redis.call('GET', KEYS[1])
if held then
  if held ~= ARGV[2] then return 0 end
  redis.call('PEXPIRE', KEYS[1], ARGV[1])
  return tonumber(held)
end
local fence = redis.call('INCR', KEYS[2])
redis.call('SET', KEYS[1], fence, 'PX', ARGV[1])
return fence
"""
_RENEW = """
if redis.call('GET', KEYS[1]) ~= ARGV[2] then return 0 end
return redis.call('PEXPIRE', KEYS[1], ARGV[1])
"""
_RELEASE = """
if redis.call('GET', KEYS[1]) ~= ARGV[1] then return 0 end
return redis.call('DEL', KEYS[1])
"""


@dataclass(slots=True, kw_only=True)
class Lease:
    """The lease of one API key; `fence` is 0 while it is not held."""

    values: ValueStore
    key: str
    ttl_ms: int
    fence: int = 0

    def acquire(self) -> bool:
        """Acquire the lease if it is free or still ours; safe to repeat."""
        reply = self.values.command(
            "EVAL", _ACQUIRE, 2, self.key, f"{self.key}:fence", self.ttl_ms, self.fence
        )
        self.fence = reply if isinstance(reply, int) else 0
        return self.fence > 0

    def renew(self) -> bool:
        """Extend the lease; False when it is no longer ours."""
        return self.values.command("EVAL", _RENEW, 1, self.key, self.ttl_ms, self.fence) == 1

    def release(self) -> None:
        """Release the lease, if it is still ours."""
        self.values.command("EVAL", _RELEASE, 1, self.key, self.fence)
        self.fence = 0


def lease_key(api_key: str) -> str:
    """Return the Redis key of an API key's lease, which does not show the key."""
    return f"stock:lease:{hashlib.sha256(api_key.encode()).hexdigest()[:16]}"
