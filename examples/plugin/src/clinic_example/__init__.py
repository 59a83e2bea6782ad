"""A network and a data set of one's own, on the workers of a Gradient Clinic."""
