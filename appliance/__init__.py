"""Prontuário: the appliance itself. Imports point downwards only; see README.md for the layers."""
