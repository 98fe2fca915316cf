"""Scripts that made the golden arrays of the parity tests, once, with the reference's own code."""
