"""Recipe -> adapter: tokens and loss masks, the QLoRA run, diagnosis, sweep, memory plan, merge, publish."""
