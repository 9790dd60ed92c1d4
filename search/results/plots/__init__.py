"""Pictures of a run, for papers: the front, its convergence, and what runs when."""
