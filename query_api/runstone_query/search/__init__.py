"""The search language: what a filter and an order say, and the SQL that finds it.

``lexer`` cuts the text into tokens, ``parser`` makes the tree of ``ast`` from them, ``fields`` knows what can
be compared and with which operators, ``compile`` turns the tree into SQL whose every piece comes from
``search.sql`` and whose every value is a placeholder: no character of the user's text becomes SQL.
All four are pure.
"""
