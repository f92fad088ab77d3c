"""Request budgets shared between processes."""
