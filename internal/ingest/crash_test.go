package ingest_test

func crashWorker(string) {}
