"""The medgemma_chat plugin; see README.md."""
