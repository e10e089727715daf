"""What operators are told of the whole hub: its jobs, its disk, and what workers without a port count."""
