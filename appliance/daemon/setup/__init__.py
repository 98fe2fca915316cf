"""``prontuario setup``: from an installed package to a node that serves, asked step by step, resumable at every one."""
