"""Carrying out requests, in this process or by Ray actors; knows no study and no objective."""
