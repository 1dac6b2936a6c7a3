"""What the rStar-Math paper says (arXiv 2501.04519): the figures that stand beside ours, in percent.

They are of other models on other problems, so only their order can be compared. Accuracies are those on MATH-500, of
Qwen2.5-Math-7B and its successors.
"""

COVERAGE = {"1": 60.17, "2": 66.60, "3": 77.86, "4": 90.25}
"""Table 2: share of the 747k problems with a verified trajectory, by round."""
POLICY = {"1": 69.6, "2": 73.6, "3": 75.8, "4": 78.4}
"""Table 3: greedy pass@1 of the policy, by round (the base model: 58.8)."""
PPM = {"1": 75.2, "2": 84.1, "3": 85.2, "4": 87.0}
"""Table 4: search with the policy of round 1 and the PPM of each round."""
SYSTEM2 = {"1": 75.2, "2": 86.6, "3": 87.0, "4": 89.4}
"""Table 6: search with policy and PPM of each round."""
SFT_DATA = {"MCTS (top by Q)": 78.4, "rejection sampling": 73.4, "random sampling": 72.4}
"""Table 7: pass@1 of a policy fine-tuned on step-by-step verified trajectories; on 32 samples a problem filtered by an
ORM; on random samples."""
REWARD_MODELS = {"PPM": 89.4, "PQM": 88.2, "ORM": 82.6}
"""Table 8: search with PPM and with PQM; best-of-N with ORM."""
SCALING = {"8": 89.4, "64": 90.0}
"""Tables 1 and 5: the main setting and 64 trajectories. (Figure 3, from 1 to 64, is a plot without numbers.)"""
