"""The medical_images plugin; see README.md."""
