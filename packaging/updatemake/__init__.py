"""Makes signed update bundles: a proven package, tables and model packs in one folder for a stick."""
