"""The document_reader plugin; see README.md."""
