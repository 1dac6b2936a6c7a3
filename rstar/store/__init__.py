"""Runs on disk: paths, manifests and their fingerprints, append-only trees."""
