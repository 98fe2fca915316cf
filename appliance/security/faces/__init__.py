"""A face as an optional second signal: 1:1, after the person and the enrolled device are known, and never the only factor."""
