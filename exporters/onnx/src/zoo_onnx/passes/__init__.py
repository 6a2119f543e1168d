"""Passes: each rewrites a composed graph into one that computes the same with less."""
