"""HTTPS: routing, identity at the door, errors as problem+json, and one module for each family of routes."""
