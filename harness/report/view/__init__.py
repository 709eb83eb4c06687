"""`harness view`: the runs of a reports folder as an index with history, served read-only to this machine alone."""
