"""The demonstration notes model: its samples, tokenizer, training, export and evaluation."""
