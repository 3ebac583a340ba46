"""What is said in a thread beside the work: answers, refusals, and the tidying up after it."""
