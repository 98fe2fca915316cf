"""Offline signed updates: a bundle from a stick, proven, put to work on the standby first, and taken back by itself when it fails."""
