"""The shape of the read model: schema, migrations, roles, and how to connect to it.

The worker writes through it and the read API reads through it; both meet here and nowhere else.
"""
