"""Whether an artifact reproduces its source: cases to run, their cost, and the comparison."""
