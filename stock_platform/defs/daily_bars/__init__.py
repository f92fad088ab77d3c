"""Daily bars: asset, schedule and checks."""
