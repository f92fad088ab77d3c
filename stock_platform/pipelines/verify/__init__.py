"""Whether the lake is true to its evidence: objects inspected, coverage recomputed, certified."""
