"""Makes the macOS package of the appliance on any machine, and reads one back: ``python -m pkgmake`` with ``packaging`` on the path.

What goes in is named beforehand with its SHA-256 (the lock, ``inputs.toml``), so the same inputs give the same bytes wherever
and whenever they are put together. Nothing here runs in the appliance: it is a tool of the build.
"""
