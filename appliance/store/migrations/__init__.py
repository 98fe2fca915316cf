"""Numbered forward migrations, applied in order; the previous version must still be able to read."""
