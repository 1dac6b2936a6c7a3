"""The stages of a round, each a function from a config to a manifest, and the loop over them."""
