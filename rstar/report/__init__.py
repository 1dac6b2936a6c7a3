"""The page of a run: one HTML file that needs no network, made from what lies in the run's folder and nothing else."""
