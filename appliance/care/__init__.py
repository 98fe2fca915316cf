"""Clinical work: dictation, transcript, note, signature."""
