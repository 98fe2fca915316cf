"""Clinical Portuguese as it is said: ``reading_of("PA 150x90 mmHg, 12/12h")`` is words only, and no number changes."""

from plugins.speech_out.reading.reader import reading_of

__all__ = ["reading_of"]
