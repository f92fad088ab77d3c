"""Frame in, frame out. Pure."""
