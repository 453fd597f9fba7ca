"""MLflow's REST surface: what an unmodified ``mlflow`` client finds at this address.

``routing`` says what a route is, ``routes`` lists them all, ``serving`` runs a write from its body to its
answer, ``messages`` and ``decoding`` read bodies as protobuf's JSON parser does, ``out_of_scope`` names
what is answered with 501. Each other module holds the writes of one area. Reads are passed on to the read
API.
"""
