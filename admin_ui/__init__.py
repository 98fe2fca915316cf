"""The dashboard: a NiceGUI process that talks only to core's admin API."""
