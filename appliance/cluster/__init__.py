"""Who leads, who follows. In single mode there is nothing to decide yet."""
