"""The gcp_sync plugin; see README.md."""
