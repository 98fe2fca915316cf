"""A toy plugin: a chat model that answers with your words in reverse order."""
