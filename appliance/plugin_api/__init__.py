"""All that a plugin may import of Prontuário.

The leaf of the house: nothing in here imports any other part of the appliance, so whatever is public to a plugin
author is readable in this one folder.

- ``hooks``         what a plugin can register (pluggy hook specifications)
- ``capabilities``  the Protocols of the abilities: speech, language, images, …
- ``engine``        the child side of an engine: load, submit, step, cancel
- ``messages``      every message between the core and an engine, in one file
- ``http``          routes, requests and replies, without any web framework
- ``storage``       a transaction on the record, without any database library
- ``errors``        stable error codes with a sentence in Portuguese and in English
- ``testing``       conformance suites for your own tests
"""
