"""``prontuario demo``: the sample consult, through the public API, as a phone would do it."""
