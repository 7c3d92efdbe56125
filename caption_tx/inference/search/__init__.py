"""Caption search: sampling, beam search and minimum Bayes risk."""
