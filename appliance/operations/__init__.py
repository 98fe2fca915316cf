"""What operators need: doctor, backup and proven restore."""
