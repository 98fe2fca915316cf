"""The facenet_auth plugin; see README.md."""
