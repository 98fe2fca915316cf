"""Laboratory values on pages that were read: proposals with LOINC and UCUM codes, nothing put right in silence."""
