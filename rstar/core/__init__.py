"""The vocabulary: problems, executed steps, verdicts, trees and trajectories. Plain data, no I/O."""
