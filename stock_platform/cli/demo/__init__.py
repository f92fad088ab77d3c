"""The demo: loses data on purpose and compares the healed lake with the truth."""
