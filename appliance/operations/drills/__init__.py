"""Drills: what the pair does on purpose before it has to, announced, measured, and told in a signed report."""
