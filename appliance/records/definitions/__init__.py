"""Generated FHIR R4 tables; see NOTICE."""
