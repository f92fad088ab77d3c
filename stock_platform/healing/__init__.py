"""Find gaps, plan the cheapest calls, judge the answers. Pure."""
