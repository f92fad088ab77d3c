"""The market behind the simulated vendors: synthetic or replayed."""
