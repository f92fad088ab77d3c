"""Alerts by mail, SNS or webhook."""
