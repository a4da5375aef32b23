"""One open model: the arguments of a call, its phases, and one call at a time."""
