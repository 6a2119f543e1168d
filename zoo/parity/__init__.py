"""Does an artifact give what its source gives? Cases to run, what they cost, and the comparison."""
