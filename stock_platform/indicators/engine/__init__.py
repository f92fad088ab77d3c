"""The engine that computes indicators over sorted columns."""
