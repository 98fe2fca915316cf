"""What macOS is told about a node: launchd jobs, log rotation, the packet filter; all rendered from ``prontuario.toml``."""
