-- Pieces that any search is put together from; what is searched adds its own. The names in braces are
-- placeholders ($1, …), operators from a closed list, or other pieces: never a user's text.

-- name: attribute_compared
-- Does an attribute compare so? Unknown is never true.
({column} {operator} {value})

-- name: is_nan
-- Whether a metric is NaN, which sorts after every number.
({value} = 'NaN')

-- name: after
-- Does the row come after a value in its column's direction? Null comes last.
({column} {operator} {value} OR {column} IS NULL)

-- name: same
-- Is the row's column that value?
{column} = {value}

-- name: same_null
-- Is the row's column null as well?
{column} IS NULL
