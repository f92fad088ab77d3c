"""Keep the collector and the allocator out of the way of a process that moves bytes.

What is alive after the start lives for ever, and nothing the processes of the
sidecar do in bulk makes cycles. And glibc gives every block above 128 kB back
to the kernel, which zeroes its pages anew for the next batch.
"""

import contextlib
import ctypes
import gc

BLOCK_BYTES_KEPT = 16 * 1024 * 1024
_M_TRIM_THRESHOLD, _M_MMAP_THRESHOLD = -1, -3


def tune_gc_and_malloc() -> None:
    """Do so for the rest of this process's life; called once everything is imported."""
    gc.collect()
    gc.freeze()
    gc.disable()
    with contextlib.suppress(OSError, AttributeError):
        mallopt = ctypes.CDLL(None).mallopt
        mallopt(_M_MMAP_THRESHOLD, BLOCK_BYTES_KEPT)
        mallopt(_M_TRIM_THRESHOLD, BLOCK_BYTES_KEPT)
