"""Child processes that run one model each: channel, supervisor, admission, memory ledger."""
