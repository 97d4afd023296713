package pgrole

// maxIdentBytes bounds a name: the server cuts what is longer, and then means another.
// Source: PostgreSQL, NAMEDATALEN.
const maxIdentBytes = 63
