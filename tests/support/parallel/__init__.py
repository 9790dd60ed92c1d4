"""Programs that several processes of a test run."""
