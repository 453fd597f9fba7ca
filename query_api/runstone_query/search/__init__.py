"""The search language: what a filter and an order say, and the SQL that finds it.

``lexer`` cuts the text into tokens, ``parser`` makes the tree of ``ast`` from them by a ``language``, which
knows what can be compared and with which operators, ``compile`` turns the tree into SQL whose every piece
comes from a ``.sql`` file and whose every value is a placeholder: no character of the user's text becomes
SQL. All of it is pure.

``runs`` is the search for runs. To search for something else, write beside its module

1. a `language.Language`: its prefixes, attributes (with kind and operators) and the operators of the rest;
2. a ``.sql`` file with the blocks that `compile.Target` lists, and conditions with one open ``{value}`` for
   what is looked at before the filter is (of these experiments, active ones);
3. a `compile.Target` of the two with the order's tail, as ``runs.RUNS`` is one.

Then ``parse_filter(text, language)``, ``parse_order(text, language)``, ``compile_search(target, …)`` and
``snapshot.rows(search.sql, *search.arguments)``; the first column is the identity, the others are what a
page token holds (`runstone_query.pagination`, with ``sort_types``). Where a comparison needs more than a
block with a key and a value, walk the operands of the tree and give `compile.condition` those that do not.
"""
