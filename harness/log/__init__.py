"""The run folder: its schema, one writer, readers that repair or refuse."""
