"""The whisper_stt plugin; see README.md."""
