"""Discovery, quarantine, choosing a provider, and a typed façade over pluggy."""
