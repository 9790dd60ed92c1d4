"""Storage of a study: the journal in its run's folder, or any database that Optuna opens."""
