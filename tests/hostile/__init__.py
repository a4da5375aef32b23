"""Files that were damaged or made to do harm, and failures at every place, tried at length."""
