"""The rStar-Math paper's tables in miniature: finished runs over several seeds, what each table needs on top of them,
and a page with a section for each."""

TABLES = {
    "coverage": "training problems with a verified trajectory, by round and level (the paper's table 2)",
    "policy": "pass@1 of the policy by round, beside the control (table 3)",
    "ppm": "accuracy of search by each round's PPM, the policy kept (table 4)",
    "system2": "accuracy of search with each round's policy and PPM (table 6)",
    "sft-data": "MCTS and top-2 by Q against random sampling, rejection sampling, bootstrap only (table 7)",
    "reward-models": "PPM, PQM, ORM, majority and random pick on the same solutions and pairs (table 8)",
    "scaling": "accuracy against the number of trajectories (figure 3)",
    "searches": "MCTS by the PPM against greedy, vote and best-of-N, for as many policy tokens",
    "ablations": "one setting of one round at a time: fpu, rollouts, selection, pairs, tanh, start",
}
"""The names of all tables, in the order of the page, and a line on each."""
EVERY = "all"
"""The argument that means every table."""
