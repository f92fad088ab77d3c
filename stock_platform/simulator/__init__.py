"""Speaks the vendors' real protocols on loopback, faults included."""
