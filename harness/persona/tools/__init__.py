"""What a persona does to tool calls and tool calls to a persona: leaks, echoes, facts, and the price in accuracy."""
