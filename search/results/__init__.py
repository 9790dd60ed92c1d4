"""Reading a run: its front, its status, its exports, plots and report."""
