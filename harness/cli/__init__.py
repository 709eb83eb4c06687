"""The command line: one sub-command per file; parses, calls, prints."""
