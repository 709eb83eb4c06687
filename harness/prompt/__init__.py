"""Sample -> prompt text and token ids: one renderer for training, every engine and every report."""
