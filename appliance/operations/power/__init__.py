"""The UPS: asking it, deciding what a node does about it, and switching the machine off in good order (``docs/power.md``)."""
