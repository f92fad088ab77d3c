"""HTTP as all providers use it: retries, error classes, bodies and JSON values."""
