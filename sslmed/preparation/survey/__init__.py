"""A survey of any folder: what images it holds, which labels belong to them, and a table that lists both."""
