"""The journal: append-only segments and the positions of their consumers."""
