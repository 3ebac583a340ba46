"""A request on its way to work: admitted or answered, its options and words, and what all threads share."""
