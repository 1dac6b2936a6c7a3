"""The text of a solution: the step grammar and the prompts, the same byte for byte in search and in training."""
