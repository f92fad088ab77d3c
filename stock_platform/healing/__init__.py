"""Find gaps, plan the cheapest calls, apply the responses. Pure."""
