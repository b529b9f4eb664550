"""What `zoo demo` shows: a tour of the library, and pages of a browser on which methods are tried."""
