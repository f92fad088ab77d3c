"""One file per vendor, all speaking the same four kinds of problem."""
