"""What the streaming sidecar archived."""
