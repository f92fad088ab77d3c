"""One package or module per simulated vendor."""
