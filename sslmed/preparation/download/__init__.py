"""Downloads public datasets."""
