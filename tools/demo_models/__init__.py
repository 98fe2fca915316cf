"""Makes the embedded demonstration models: a grammar of consults, speech of it, training, export and evaluation."""
