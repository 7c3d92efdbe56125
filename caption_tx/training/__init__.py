"""Training: the objective, callbacks, and one call that runs it all."""
