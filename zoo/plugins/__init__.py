"""Plugins: their hooks, loading them one at a time, and what it means when one raises."""
