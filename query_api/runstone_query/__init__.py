"""The read API: runs, histories, comparisons and artifact pointers, from the read model, read-only."""
