"""What pytest leaves alone here."""

# Run as a script by other Pythons, beside its own imports; pytest would look for doctests in it.
collect_ignore = ["stdlib_laws.py"]
