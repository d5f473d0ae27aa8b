"""The use cases: what happens to a request and to a policy edit, free of frameworks."""
