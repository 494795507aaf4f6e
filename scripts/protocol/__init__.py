"""The protocol page: the contract as people read it, in Markdown. Pure; `protocol_page.py` reads and writes."""
