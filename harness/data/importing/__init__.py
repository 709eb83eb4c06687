"""Other people's fine-tuning data -> records: one file per format, with shared turns, tools, splits and writing."""
