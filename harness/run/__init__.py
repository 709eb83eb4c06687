"""Plan and execute: suite x engine -> run folder, resumable; then scores and summary."""
