"""Reading picture files. Runs in the reader's child only: what opens a hostile file may crash, and nothing else does."""
