"""Measures the speech and the notes model through the product's own path, and makes gold data for others to measure with."""
