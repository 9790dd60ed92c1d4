"""The strategy search: proposers, study, workers, front, exports and the command line."""
