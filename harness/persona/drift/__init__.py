"""What a conversation does to a persona: scores by turn, slope, breaks, switches of speech level, recovery."""
