"""The demonstration's speech model: synthetic speech, training, export and evaluation."""
