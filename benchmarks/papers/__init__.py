"""The tables of the papers compared with ours."""
