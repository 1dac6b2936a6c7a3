"""Where problems come from: files of people's own, and the embedded families with their teachers."""
