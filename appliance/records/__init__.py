"""The FHIR R4 record: validation, create, update, history, search."""
