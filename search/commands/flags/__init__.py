"""Groups of flags that several commands share: how their values are read, and their help."""
