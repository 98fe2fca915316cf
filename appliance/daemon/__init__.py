"""Composition root: the command line, core, and the supervisor behind ``prontuario up``. The only place that wires things together."""
