"""The steps from an empty database to the present schema, oldest first; a released step never changes.

Each module is an Alembic revision whose ``upgrade`` is handed the operations it runs.
"""
