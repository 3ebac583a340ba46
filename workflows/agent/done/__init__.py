"""The model's word that it is done, held against what the test runs prove."""
