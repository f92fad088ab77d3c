"""The archive: every event once, as objects on S3."""
