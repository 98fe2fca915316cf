"""Alerts: one table of rules, judged on the box itself and written out for Prometheus (``docs/alerts.md``)."""
