"""Carrying out a search: the loop and what it measures before, without argparse or print."""
