"""Run folders as tables: for SQL over many runs, and for other programs' files."""
