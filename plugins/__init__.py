"""First-party plugins. Each imports only appliance.plugin_api."""
