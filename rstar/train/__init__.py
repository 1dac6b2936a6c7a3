"""Training: the policy by SFT, value models by their losses, each in a process of its own."""
