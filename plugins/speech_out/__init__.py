"""The speech_out plugin; see README.md."""
