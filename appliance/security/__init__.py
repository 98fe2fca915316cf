"""CA and devices, sessions, policy, vault, audit tree."""
