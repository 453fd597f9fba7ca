"""The routes, a module per area; each has ``ROUTES``."""
