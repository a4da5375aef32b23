"""The only place that knows the native library."""
