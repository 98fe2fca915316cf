"""Two nodes as one service: what the daemon adds to ``appliance.cluster`` so that a core can be one half of a pair."""
