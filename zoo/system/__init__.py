"""The operating system: files that appear whole or not at all, memory, signals, and failpoints for tests."""
