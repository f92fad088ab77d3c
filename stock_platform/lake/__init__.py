"""Where data lives: layout, atomic publish, reads, compaction."""
