//! What only the Redis store can get wrong.
