"""Metrics, logging with redaction, the health registry, the clock."""
