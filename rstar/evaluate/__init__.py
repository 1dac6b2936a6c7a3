"""What a round is worth: metrics over graded trees, and the tables that people read."""
