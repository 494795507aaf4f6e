"""From one request to the wire: the I/O thread, the one HTTP session, retries, event streams.

Nothing above this package touches an HTTP library, and nothing of such a library leaves it.
"""
