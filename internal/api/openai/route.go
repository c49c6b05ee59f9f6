package openai

import (
	"net/http"

	"airfield/internal/api"
	"airfield/internal/llm"
)

// Route is one operation of the door.
type Route struct {
	Method, Path, Summary string
	handler               http.HandlerFunc
}

// Routes are all operations, for the reference. The router is made from the same list.
func Routes() []Route { return (&Door{}).routes() }

func (d *Door) routes() []Route {
	const store = "/v1/vector_stores/{store}"
	return []Route{
		{"POST", "/v1/chat/completions", "A chat completion, whole or as a stream", d.model(llm.ChatCompletions)},
		{"POST", "/v1/responses", "A response, whole or as a stream; kept, continued and with file_search whoever serves the model", d.createResponse},
		{"GET", "/v1/responses/{response}", "A response that is kept", d.handle(d.getResponse)},
		{"DELETE", "/v1/responses/{response}", "Delete a response that is kept", d.handle(d.deleteResponse)},
		{"GET", "/v1/responses/{response}/input_items", "The items that a response was asked with", d.handle(d.inputItems)},
		{"POST", "/v1/responses/{response}/cancel", "Refused: nothing runs in the background", d.handle(d.cancelResponse)},
		{"POST", "/v1/embeddings", "Vectors of texts", d.model(llm.Embeddings)},
		{"POST", "/v1/moderations", "Whether texts or pictures are harmful", d.model(llm.Moderations)},
		{"POST", "/v1/images/generations", "Pictures from a text, whole or as a stream", d.model(llm.Images)},
		{"POST", "/v1/images/edits", "Pictures from pictures, as a form", d.model(llm.ImageEdits)},
		{"POST", "/v1/audio/speech", "Speech from a text: sound, or a stream of events", d.model(llm.Speech)},
		{"POST", "/v1/audio/transcriptions", "The text of a recording, as a form; whole or as a stream", d.model(llm.Transcriptions)},
		{"POST", "/v1/audio/translations", "The text of a recording in English, as a form", d.model(llm.Translations)},
		{"GET", "/v1/models", "The models that callers may ask for", d.handle(d.listModels)},
		{"GET", "/v1/models/{model...}", "One model", d.handle(d.getModel)},
		{"POST", "/v1/answers", "A cited answer from collections; of Airfield itself", d.handle(d.answer)},

		{"POST", "/v1/files", "Upload a file, as a form with purpose and file", d.handle(d.createFile)},
		{"GET", "/v1/files", "The files that this workflow uploaded", d.handle(d.listFiles)},
		{"GET", "/v1/files/{file}", "One file", d.handle(d.getFile)},
		{"GET", "/v1/files/{file}/content", "A file's bytes", d.fileContent},
		{"DELETE", "/v1/files/{file}", "Delete a file, and take it out of every vector store", d.handle(d.deleteFile)},

		{"POST", "/v1/batches", "Make the calls of a file when there is room for them", d.handle(d.createLines)},
		{"GET", "/v1/batches", "The batches of this workflow, the newest first", d.handle(d.listLines)},
		{"GET", "/v1/batches/{batch}", "How far a batch is", d.handle(d.getLines)},
		{"POST", "/v1/batches/{batch}/cancel", "Stop what has not begun of a batch", d.handle(d.cancelLines)},

		{"POST", "/v1/vector_stores", "Make a vector store, which is a collection", d.handle(d.createStore)},
		{"GET", "/v1/vector_stores", "The vector stores that this caller may search", d.handle(d.listStores)},
		{"GET", store, "One vector store, by id or name", d.handle(d.getStore)},
		{"POST", store, "Change its name or metadata", d.handle(d.updateStore)},
		{"DELETE", store, "Delete it with its documents", d.handle(d.deleteStore)},
		{"POST", store + "/search", "Passages for a query, within the caller's clearance", d.handle(d.search)},

		{"POST", store + "/files", "Put a file into a vector store", d.handle(d.attachFile)},
		{"GET", store + "/files", "What is in a vector store, whatever brought it", d.handle(d.listStoreFiles)},
		{"GET", store + "/files/{file}", "How far a file is", d.handle(d.getStoreFile)},
		{"POST", store + "/files/{file}", "Change a file's attributes", d.handle(d.updateStoreFile)},
		{"GET", store + "/files/{file}/content", "A file's text as it was cut into passages", d.handle(d.storeFileContent)},
		{"DELETE", store + "/files/{file}", "Take a file out of a vector store", d.handle(d.detachFile)},
		{"POST", store + "/file_batches", "Put many files into a vector store", d.handle(d.createBatch)},
		{"GET", store + "/file_batches/{batch}", "How far a batch is", d.handle(d.getBatch)},
		{"POST", store + "/file_batches/{batch}/cancel", "Stop what has not begun of a batch", d.handle(d.cancelBatch)},
		{"GET", store + "/file_batches/{batch}/files", "The files of a batch", d.handle(d.listBatchFiles)},
	}
}

// Handler returns the router. Every route asks for a key.
func (d *Door) Handler() http.Handler {
	mux := http.NewServeMux()
	for _, r := range d.routes() {
		mux.HandleFunc(r.Method+" "+r.Path, r.handler)
	}
	mux.Handle("/v1/", api.Unknown(mux, "/v1/", d.refuse, "docs/reference/api.md lists what there is"))
	return api.Guard(d.Authentication, d.refuse, api.ModelRoles, mux)
}
