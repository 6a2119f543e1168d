"""Passes: each rewrites a composed graph into an equivalent, cheaper one."""
