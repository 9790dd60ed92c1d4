"""What `python -m search` can do, one file each."""
