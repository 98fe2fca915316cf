"""Templates of notes: TOML files that say under which headings the sentences of a draft stand."""
