"""Plugins: discovery, quarantine, choice of a provider. ``host.PluginHost`` is the entry; ``choice.Abilities`` the façade."""
