"""Model packs: signed folders of weights, stored outside the program, taken in and put to work without losing a request."""
