"""What a run costs: operations, memory, time."""
