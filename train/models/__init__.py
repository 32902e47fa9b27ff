"""Networks, one a file; registry.py knows them by name. Imported by train and export."""
